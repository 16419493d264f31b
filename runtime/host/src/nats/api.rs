//! Requests to a NATS server: its API over a client connection, its monitoring port over HTTP.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use core_nats::streams::{Answer, Request, judge};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for the first try; each further try gets twice as long. A request sent before the cluster has a leader is
/// never answered.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
/// The longest page of the monitoring port, in bytes.
const MOST: u64 = 1 << 30;
/// The pause between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Connects, as the user of the system account if a password is given.
pub(super) async fn connect(address: &str, system: Option<String>) -> Result<Client, String> {
    let options = match system {
        Some(password) => ConnectOptions::with_user_and_password(core_nats::SYSTEM_USER.into(), password),
        None => ConnectOptions::new(),
    };
    // Only to the server that was named: facts about it must not come from another one.
    let options = options.ignore_discovered_servers().connection_timeout(PATIENCE).request_timeout(Some(PATIENCE));
    options.connect(format!("nats://{address}")).await.map_err(|error| format!("{address}: {error}"))
}

/// Repeats a request until the answer is not "later". A server that does not answer is asked again too.
pub(super) async fn ask(client: &Client, request: &Request) -> Result<serde_json::Value, (u64, String)> {
    let mut patience = FIRST_PATIENCE;
    loop {
        let asking = client.request(request.subject.clone(), request.body.clone().into());
        let answer = tokio::time::timeout(patience, asking).await;
        patience = PATIENCE.min(patience * 2);
        if let Ok(Ok(answer)) = answer {
            match judge(&String::from_utf8_lossy(&answer.payload)) {
                Answer::Good(answer) => return Ok(answer),
                Answer::Later(_) => {}
                Answer::Bad { code, message } => return Err((code, format!("{}: {message}", request.subject))),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads a page of the monitoring port.
pub(super) async fn page(address: &str, path: &str) -> Result<serde_json::Value, String> {
    let url = format!("http://{address}{path}");
    let get = move || {
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build();
        let text = ureq::Agent::new_with_config(config)
            .get(&url)
            .call()?
            .body_mut()
            .with_config()
            .limit(MOST)
            .read_to_string()?;
        Ok::<String, ureq::Error>(text)
    };
    let text = tokio::task::spawn_blocking(get).await.map_err(|error| error.to_string())?;
    let text = text.map_err(|error| format!("{address}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{address}: {error}"))
}
