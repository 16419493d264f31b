//! The releases that have landed, as people see them; pins, and what a person deletes.

use std::fs;
use std::path::PathBuf;

use core_engine::Saved;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choose::{CURRENT, UNPREPARED, landed};
use super::prune::{PINNED, SERVED, size, turn};
use super::record::Record;
use super::{pool, public};
use crate::journal::Journal;
use crate::paths::Paths;

/// The releases of a stack, as `core releases --json` prints them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Releases {
    /// By service, the oldest first.
    pub releases: Vec<Listed>,
}

/// One release that has landed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// What was noted when it was made.
    #[serde(flatten)]
    pub record: Record,
    /// Whether it is the one that serves, or served last.
    pub live: bool,
    /// Whether it is the one that should serve.
    pub wanted: bool,
    /// Whether it is the one that `core rollback` goes to.
    pub before: bool,
    /// Whether it is kept in any case.
    pub pinned: bool,
    /// Whether what has to be run before it serves was not run yet.
    #[serde(default)]
    pub unprepared: bool,
    /// When it last took over: RFC 3339, UTC; `None` if it never served.
    pub served: Option<String>,
}

impl Listed {
    /// Why it may not serve, as text for people.
    pub fn not_ready(&self) -> Option<String> {
        let id = &self.record.id;
        self.unprepared.then(|| {
            format!("release {id} was only made: its release_command was not run; `core deploy` of the same sources does that")
        })
    }
}

/// The releases of one service, or of all. Works whether the stack runs or not.
pub fn list(paths: &Paths, service: Option<&str>) -> Releases {
    let saved = Journal::new(paths).read().map(|remembered| remembered.saved).unwrap_or_default();
    let entries = fs::read_dir(paths.releases()).into_iter().flatten().flatten();
    let mut services: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    services.retain(|name| service.is_none_or(|only| only == name));
    services.sort();
    let of = |service: &String| -> Vec<Listed> {
        let ids = landed(paths, service);
        ids.into_iter().map(|id| listed(paths, &saved, service, id)).collect()
    };
    Releases { releases: services.iter().flat_map(of).collect() }
}

fn listed(paths: &Paths, saved: &Saved, service: &str, id: String) -> Listed {
    let home = paths.releases().join(service);
    let folder = home.join(&id);
    let time = fs::metadata(folder.join(SERVED)).and_then(|meta| meta.modified()).ok();
    Listed {
        live: fs::read_link(home.join(CURRENT)).is_ok_and(|live| live.as_os_str() == id.as_str()),
        wanted: saved.release_wanted(service) == Some(&id),
        before: saved.release_before(service).as_ref() == Some(&id),
        pinned: folder.join(PINNED).exists(),
        unprepared: folder.join(UNPREPARED).exists(),
        served: time.and_then(|time| Timestamp::try_from(time).ok()).map(|time| time.to_string()),
        record: Record { service: service.to_owned(), id, ..Record::read(&folder).unwrap_or_default() },
    }
}

/// The release with this ID, or the only one whose ID begins or ends like this.
///
/// # Errors
/// That there is none, or that there are several, as text for people.
pub fn find(paths: &Paths, service: Option<&str>, id: &str) -> Result<Listed, String> {
    let all = list(paths, service).releases;
    if let Some(exact) = all.iter().find(|one| one.record.id == id) {
        return Ok(exact.clone());
    }
    let is_meant = |one: &&Listed| one.record.id.starts_with(id) || one.record.id.ends_with(id);
    let alike: Vec<&Listed> = all.iter().filter(is_meant).collect();
    match alike[..] {
        [one] => Ok(one.clone()),
        [] => Err(format!("there is no release `{id}`")),
        _ => {
            let all: Vec<&str> = alike.iter().map(|one| one.record.id.as_str()).collect();
            Err(format!("`{id}` could be each of {}", all.join(", ")))
        }
    }
}

fn folder(paths: &Paths, one: &Listed) -> PathBuf {
    paths.releases().join(&one.record.service).join(&one.record.id)
}

/// Keeps a release until it is unpinned, or no longer.
///
/// # Errors
/// Why that cannot be noted, as text for people.
pub fn pin(paths: &Paths, one: &Listed, pinned: bool) -> Result<(), String> {
    let mark = folder(paths, one).join(PINNED);
    let done = match pinned {
        true => fs::write(&mark, ""),
        false if mark.exists() => fs::remove_file(&mark),
        false => Ok(()),
    };
    done.map_err(|error| format!("{}: {error}", paths.shown(&mark)))
}

/// Deletes a release that nothing needs. Returns how many bytes are free again.
///
/// # Errors
/// What needs it, or why it cannot be deleted, as text for people.
pub fn remove(paths: &Paths, one: &Listed) -> Result<u64, String> {
    let (service, id) = (&one.record.service, &one.record.id);
    let saved = Journal::new(paths).read().map(|remembered| remembered.saved).unwrap_or_default();
    let why = match one {
        _ if one.live || one.wanted => Some("is the live one"),
        _ if one.before => Some("is the one that `core rollback` goes to"),
        _ if saved.releases_needed(service).contains(id) => Some("runs"),
        _ if one.pinned => Some("is pinned: unpin it first"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(format!("release {id} of {service} {why}"));
    }
    let folder = folder(paths, one);
    let _turn = turn(paths, service).ok_or_else(|| format!("a release of {service} is being made; try again then"))?;
    let bytes = size(&folder);
    // Gone at once; what cannot be deleted now, the next deploy sweeps.
    let doomed = folder.with_file_name(format!(".part-removed-{id}"));
    fs::rename(&folder, &doomed).map_err(|error| format!("{}: {error}", paths.shown(&folder)))?;
    let _ = fs::remove_dir_all(doomed);
    let home = paths.releases().join(service);
    pool::sync(&home, None);
    public::clear(&home);
    Ok(bytes)
}
