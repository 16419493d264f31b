//! A server that was alone is one of a cluster now: its streams are made the cluster's.
//!
//! Until that is done they are orphans to the cluster, which would delete them half a minute later; and a client that
//! creates a missing stream may create it elsewhere. So this hurries, and first gives every file of theirs a second
//! name, which is taken away at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_nats::Client;
use core_nats::streams::{self, NAME_IN_USE, Stored};

use super::api;

/// A server that joins.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Its name.
    pub name: String,
    /// Where its clients connect.
    pub client: String,
    /// Its monitoring port.
    pub monitor: String,
    /// Folder of its streams.
    pub store: PathBuf,
}

/// Takes its streams up. Returns their names; none when there was nothing to do.
///
/// # Errors
/// Says what could not be taken up, and where it is.
pub async fn join(server: &Joining) -> Result<Vec<String>, String> {
    let mark = super::cluster_folder(&server.store).join("_meta_/taken-up");
    if mark.exists() {
        return Ok(Vec::new());
    }
    // It listens for clients once it has read what it stored.
    let client = loop {
        match api::connect(&server.client, None).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(api::PAUSE).await,
        }
    };
    let all = streams::stored(&api::page(&server.monitor, streams::STORED).await?);
    let copy = server.store.join("before-cluster");
    let told = |error: io::Error| format!("{}: {error}", server.store.display());
    link_all(&server.store.join("jetstream/$G/streams"), &copy).map_err(told)?;
    for stream in &all {
        let kept = |message: String| {
            format!("the stream {} was not taken up: {message}; its files are kept in {}", stream.name, copy.display())
        };
        take_up(&client, stream, &server.name).await.map_err(kept)?;
    }
    fs::write(&mark, "").map_err(|error| format!("{}: {error}", mark.display()))?;
    remove(&copy).map_err(told)?;
    Ok(all.into_iter().map(|stream| stream.name).collect())
}

async fn take_up(client: &Client, stream: &Stored, server: &str) -> Result<(), String> {
    let plain = |(_, message): (u64, String)| message;
    loop {
        match api::ask(client, &stream.create()).await {
            Ok(_) => break,
            Err((NAME_IN_USE, message)) => {
                let found = api::ask(client, &stream.info()).await.map_err(plain)?;
                // Taken up before, by us or by a client who created it: it is here.
                if found["cluster"]["leader"] == server {
                    break;
                }
                if found["state"]["messages"] != 0 {
                    return Err(format!("{message}; a client has created it anew, and it has messages already"));
                }
                api::ask(client, &stream.delete()).await.map_err(plain)?;
            }
            Err((_, message)) => return Err(message),
        }
    }
    for consumer in stream.create_consumers() {
        api::ask(client, &consumer).await.map_err(plain)?;
    }
    let now = api::ask(client, &stream.release()).await.map_err(plain)?;
    let messages = now["state"]["messages"].as_u64().unwrap_or(0);
    // It may be limited by age, or consumed meanwhile; but not gone.
    if messages == 0 && stream.messages > 0 {
        return Err(format!("it had {} messages and has none", stream.messages));
    }
    Ok(())
}

/// Gives the files below a folder second names below another one.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    if !from.exists() {
        return Ok(());
    }
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
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
