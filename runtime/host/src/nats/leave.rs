//! Stops a NATS server. If it is removed for good, it first hands over its streams and lets its clients go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::Client;
use core_nats::streams::{self, NO_MEMBER, NO_STREAM, Staying, Step};
use core_shim::handle::Handle;
use nix::libc;
use serde_json::Value;

use super::api;
use crate::ended;

/// A server to stop.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// The file with its PID.
    pub pid_file: PathBuf,
    /// The folder of its streams.
    pub store: PathBuf,
    /// Its place in a cluster, if it is in one.
    pub cluster: Option<Place>,
}

/// A server's place in a cluster.
#[derive(Clone, Debug)]
pub struct Place {
    /// The common prefix of all servers' names.
    pub hub: String,
    /// Number of the server, from 1.
    pub number: u32,
    /// Address of the first server's client port.
    pub client: String,
    /// Address of its own monitoring port.
    pub monitor: String,
    /// Password of the system account.
    pub password: String,
}

/// How long the server may take to stop, including its lame duck mode, in which it lets its clients go.
const LAME_DUCK: Duration = Duration::from_secs(60);

/// Whether the server is stopped because its service was removed, and not just to be restarted.
fn is_removed() -> bool {
    std::env::var(crate::STOP_REASON).is_ok_and(|reason| reason == "removed")
}

/// Asks the server to stop, and waits until it has.
///
/// # Errors
/// What failed. The server may still run then.
pub async fn leave(server: &Leaving) -> Result<(), String> {
    let text =
        std::fs::read_to_string(&server.pid_file).map_err(|error| format!("{}: {error}", server.pid_file.display()))?;
    let pid: u32 = text.trim().parse().map_err(|_| format!("{}: no number", server.pid_file.display()))?;
    let handle = Handle::of(pid).ok_or_else(|| format!("process {pid} is gone"))?;
    let mut forgets = false;
    if let Some(place) = &server.cluster {
        if place.number > 1 && is_removed() {
            hand_over(place).await;
            forgets = true;
        } else if place.number == 1 {
            // All other servers have left, so this server is not a member of this cluster any more.
            forgets = api::page(&place.monitor, "/jsz").await.is_ok_and(|page| streams::is_last(&page));
        }
    }
    let signal = if is_removed() { libc::SIGUSR2 } else { libc::SIGTERM };
    handle.send(signal).map_err(|error| format!("process {pid}: {error}"))?;
    let ended = tokio::task::spawn_blocking(move || ended::any_within(&[&handle], LAME_DUCK)).await;
    if !ended.unwrap_or(false) {
        return Err(format!("process {pid} did not end"));
    }
    if forgets { super::forget_cluster(&server.store) } else { Ok(()) }
}

/// Moves all streams to the servers before this one, and removes it from the cluster. Repeats until that is done: the
/// caller sets the time limit.
async fn hand_over(place: &Place) {
    let mut said = String::new();
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    loop {
        match hand_over_once(place, &mut found).await {
            Ok(true) => return,
            Err(message) if message != said => {
                tracing::warn!("{message}");
                said = message;
            }
            Ok(false) | Err(_) => {}
        }
        tokio::time::sleep(api::PAUSE).await;
    }
}

/// One round over all streams, without waiting. Returns whether nothing was left to do and the server is removed.
async fn hand_over_once(place: &Place, found: &mut BTreeMap<String, Value>) -> Result<bool, String> {
    let plain = |(_, message): (u64, String)| message;
    let staying = Staying { hub: &place.hub, count: place.number - 1 };
    let client = api::connect(&place.client, None).await?;
    let (mut is_done, mut failed) = (true, Ok(()));
    for name in names(&client).await? {
        let info = match api::ask(&client, &streams::info(&name)).await {
            Ok(info) => info,
            Err((NO_STREAM, _)) => continue,
            Err((_, message)) => {
                failed = Err(message);
                continue;
            }
        };
        let as_found = found.entry(name).or_insert_with(|| info["config"].clone());
        match streams::next(&info, as_found, staying) {
            Step::Done => continue,
            Step::Wait => {}
            Step::Ask(request) => failed = api::ask(&client, &request).await.map(drop).map_err(plain).and(failed),
        }
        is_done = false;
    }
    failed?;
    if !is_done {
        return Ok(false);
    }
    // A whole round found nothing on this server; once it is removed, new streams are not placed on it.
    let system = api::connect(&place.client, Some(place.password.clone())).await?;
    match api::ask(&system, &streams::remove(&format!("{}-{}", place.hub, place.number))).await {
        Ok(_) | Err((NO_MEMBER, _)) => Ok(true),
        Err((_, message)) => Err(message),
    }
}

/// The names of all streams.
async fn names(client: &Client) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    loop {
        let page = api::ask(client, &streams::names(all.len())).await.map_err(|(_, message)| message)?;
        let more: Option<Vec<String>> = serde_json::from_value(page["streams"].clone())
            .map_err(|error| format!("the names of the streams: {error}"))?;
        let Some(more) = more.filter(|more| !more.is_empty()) else { return Ok(all) };
        all.extend(more);
    }
}
