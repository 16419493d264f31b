//! A server is asked to end. When it is removed for good, it hands over its streams and lets its clients go first.

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

/// A server that is asked to end.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// File with the number of its process.
    pub pid_file: PathBuf,
    /// Folder of its streams.
    pub store: PathBuf,
    /// Its part in a cluster, where it has one.
    pub cluster: Option<Place>,
}

/// A server's place in a cluster.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the names of all begin with.
    pub hub: String,
    /// Its number, from 1.
    pub number: u32,
    /// Where clients of the first one connect.
    pub client: String,
    /// Its own monitoring port.
    pub monitor: String,
    /// Password of the system account.
    pub password: String,
}

/// The server ends no later than this after the last client was let go.
const LAME_DUCK: Duration = Duration::from_secs(60);

/// Why a shutdown command was run.
fn is_removed() -> bool {
    std::env::var(crate::STOP_REASON).is_ok_and(|reason| reason == "removed")
}

/// Asks it to end, and waits until it has.
///
/// # Errors
/// Says what it did not do. The server may run on then.
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
            // All others have left: whatever it is next, it is not one of this cluster.
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

/// Moves all streams to the servers before this one, and takes it out of the cluster. It goes on until that is done: who
/// loses patience is whoever asked for it.
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

/// One round over all streams; none of them is waited for. Whether nothing was left to do, and the server is out.
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
    // Nothing was on it in a whole round: what is created from here on is not placed on a server that is out.
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
