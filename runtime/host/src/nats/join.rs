//! Adds the streams of a server that was standalone to the cluster that it has joined.
//!
//! Until then they are orphans to the cluster, which deletes them after half a minute, or at once if a client creates
//! one of them on another server. So this hurries, and first gives each of their files a second name, which is removed
//! when all streams belong to the cluster.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_nats::Client;
use core_nats::streams::{self, NO_STREAM, Stored};

use super::api;

/// A server that joins a cluster.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Address of its client port.
    pub client: String,
    /// Address of its monitoring port.
    pub monitor: String,
    /// The folder of its streams.
    pub store: PathBuf,
}

/// Adds those of its streams that the cluster does not know. Returns their names.
///
/// # Errors
/// Which streams could not be added, and where their files are.
pub async fn join(server: &Joining) -> Result<Vec<String>, String> {
    // The server listens for clients once it has read its stored streams.
    let client = loop {
        match api::connect(&server.client, None).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(api::PAUSE).await,
        }
    };
    // A copy from an earlier attempt may hold files that the server has deleted since.
    let copy = server.store.join("before-cluster");
    let told = |error: io::Error| format!("{}: {error}", server.store.display());
    if !copy.exists() {
        link_all(&server.store.join("jetstream/$G/streams"), &copy).map_err(told)?;
    }
    let all = streams::stored(&api::page(&server.monitor, streams::STORED).await?);
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for stream in &all {
        match take_up(&client, stream).await {
            Ok(true) => taken.push(stream.name.clone()),
            Ok(false) => {}
            Err(message) => failed.push(format!("{}: {message}", stream.name)),
        }
    }
    // A stream with files that the server no longer stores was deleted because a client created it elsewhere.
    let is_there = |name: &String| all.iter().any(|stream| stream.name == *name);
    for name in names_in(&copy).map_err(told)?.into_iter().filter(|name| !is_there(name)) {
        failed.push(format!("{name}: a client has created it anew on another server"));
    }
    if !failed.is_empty() {
        let failed = failed.join("; ");
        return Err(format!("not taken up: {failed}. The files as they were are in {}", copy.display()));
    }
    remove(&copy).map_err(told)?;
    Ok(taken)
}

/// Adds one stream to the cluster. Returns whether that was necessary.
async fn take_up(client: &Client, stream: &Stored) -> Result<bool, String> {
    let plain = |(_, message): (u64, String)| message;
    match api::ask(client, &stream.info()).await {
        // It belongs to the cluster: it did before, or a client has just created it on this server.
        Ok(_) => return Ok(false),
        Err((NO_STREAM, _)) => {}
        Err((_, message)) => return Err(message),
    }
    api::ask(client, &stream.create()).await.map_err(plain)?;
    for consumer in stream.create_consumers() {
        api::ask(client, &consumer).await.map_err(plain)?;
    }
    let now = api::ask(client, &stream.release()).await.map_err(plain)?;
    // Messages may have expired or been consumed meanwhile, but not all of them.
    if now["state"]["messages"] == 0 && stream.messages > 0 {
        return Err(format!("it had {} messages and has none", stream.messages));
    }
    Ok(true)
}

/// The names of the folders in a folder.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Makes hard links to all files below a folder, below another one.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    // Under a temporary name until it is complete.
    let whole = to;
    let to = &whole.with_extension("new");
    remove(to)?;
    let mut open = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let (path, name) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                open.push((path, name));
                continue;
            }
            match fs::hard_link(&path, &name) {
                // The server replaces some of its small files by renaming.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                linked => linked?,
            }
        }
    }
    fs::rename(to, whole)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
