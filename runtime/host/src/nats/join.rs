//! A server that was alone is one of a cluster now: its streams are made the cluster's.
//!
//! Until that is done they are orphans to the cluster, which would delete them half a minute later; and at once when a
//! client creates one of them anew on another server. So this hurries, and first gives every file of theirs a second name,
//! which is taken away when all of them are the cluster's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_nats::Client;
use core_nats::streams::{self, NO_STREAM, Stored};

use super::api;

/// A server that joins.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Where its clients connect.
    pub client: String,
    /// Its monitoring port.
    pub monitor: String,
    /// Folder of its streams.
    pub store: PathBuf,
}

/// Takes up those of its streams that the cluster does not know. Returns their names.
///
/// # Errors
/// Says what could not be taken up, and where its files are.
pub async fn join(server: &Joining) -> Result<Vec<String>, String> {
    // It listens for clients once it has read what it stored.
    let client = loop {
        match api::connect(&server.client, None).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(api::PAUSE).await,
        }
    };
    // One that is left of an attempt before this one holds what this one may no longer find.
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
    // What has files and is not stored any more was deleted while somebody else created it.
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

/// Returns whether there was something to do.
async fn take_up(client: &Client, stream: &Stored) -> Result<bool, String> {
    let plain = |(_, message): (u64, String)| message;
    match api::ask(client, &stream.info()).await {
        // It is the cluster's: since long, or a client created it here, where it is.
        Ok(_) => return Ok(false),
        Err((NO_STREAM, _)) => {}
        Err((_, message)) => return Err(message),
    }
    api::ask(client, &stream.create()).await.map_err(plain)?;
    for consumer in stream.create_consumers() {
        api::ask(client, &consumer).await.map_err(plain)?;
    }
    let now = api::ask(client, &stream.release()).await.map_err(plain)?;
    // It may be limited by age, or consumed meanwhile; but not gone.
    if now["state"]["messages"] == 0 && stream.messages > 0 {
        return Err(format!("it had {} messages and has none", stream.messages));
    }
    Ok(true)
}

/// The names of the folders in one.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Gives the files below a folder second names below another one.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    // Under another name until it is whole.
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
