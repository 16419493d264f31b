//! `state.json`: the wanted state, saved before anything that follows from it. It survives a power cut: it is written
//! to a second file, synced and renamed, and the previous file is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use core_engine::Saved;
use core_manifest::Diagnostic;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::descriptors;
use crate::own_log;
use crate::paths::Paths;

/// The contents of the file, as read.
#[derive(Deserialize)]
struct Contents {
    /// The profile that the stack runs with.
    profile: String,
    /// The launch under which it was saved.
    #[serde(default)]
    launch: u64,
    saved: Saved,
}

/// The contents of the file, as written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    profile: &'a str,
    launch: u64,
    saved: &'a Saved,
}

/// Free space that a change needs, in bytes: `state.json` twice, the history, and the first lines of a few logs.
const ROOM: usize = 256 << 10;

/// What to do if there is no room for a change.
pub(crate) const ROOM_HELP: &str =
    "nothing was changed; make room on its disk, or mount it so that it can be written, and ask again";

/// The state of a stack on disk.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    /// The launch that it is written under.
    launch: u64,
    /// The checksum of the state that was written last.
    last: String,
}

/// The state that was saved.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The profile of the stack.
    pub profile: String,
    /// The launch under which it was saved.
    pub launch: u64,
    /// The state of the engine.
    pub saved: Saved,
}

impl Journal {
    /// The journal of a stack, to be read.
    pub fn new(paths: &Paths) -> Self {
        Self::of_launch(paths, 0)
    }

    /// The journal of a stack, to be written under a launch.
    pub fn of_launch(paths: &Paths, launch: u64) -> Self {
        Self { path: paths.state().join("state.json"), launch, last: String::new() }
    }

    /// Saves the state if it differs from the last one; returns once it is synced.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&mut self, profile: &str, saved: &Saved) -> io::Result<()> {
        let contents = Written { version: 1, profile, launch: self.launch, saved };
        let text = serde_json::to_string(&contents).map_err(io::Error::other)?;
        let sum = core_stack::hex(&Sha256::digest(text.as_bytes()));
        if sum == self.last && self.path.exists() {
            return Ok(());
        }
        let beside = self.path.with_extension("json.new");
        // It contains the environment of services, so only its owner may read it.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        // The checksum is the first line, so that an incomplete file is detected.
        writeln!(file, "{sum}")?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let before = self.path.with_extension("json.before");
        let _ = fs::remove_file(&before);
        let _ = fs::hard_link(&self.path, &before);
        fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.last = sum;
        Ok(())
    }

    /// Checks that there is room to save a change. On a full disk, an edit could not be saved, and the services that it
    /// starts could not log why they fail.
    ///
    /// # Errors
    /// Why nothing can be saved, and what to do.
    pub fn room(paths: &Paths) -> Result<(), Box<Diagnostic>> {
        Self::try_room(paths).map_err(|message| {
            let help =
                "make room on its disk, then `core apply`; until then edits are refused; running services keep serving";
            Box::new(Diagnostic::new("no-room", message).help(help))
        })
    }

    /// Like `room`, for a command of a user.
    ///
    /// # Errors
    /// Why nothing can be saved and what to do, in one line.
    pub fn room_for_command(paths: &Paths) -> Result<(), String> {
        Self::try_room(paths).map_err(|message| format!("{message}; {ROOM_HELP}"))
    }

    fn try_room(paths: &Paths) -> Result<(), String> {
        // The folder may have been removed while the stack runs.
        let _ = paths.write_down();
        let path = paths.state().join("room");
        let write = || File::create(&path).and_then(|mut file| file.write_all(&vec![0; ROOM]));
        let written = descriptors::with_reserve(write);
        let _ = fs::remove_file(&path);
        written.map_err(|error| {
            format!("{} cannot be written: {}", paths.shown(&paths.state()), own_log::in_words(&error))
        })
    }

    /// Reads the last complete state. An incomplete file is logged, and the previous one is used.
    pub fn read(&self) -> Option<Remembered> {
        for path in [self.path.clone(), self.path.with_extension("json.before")] {
            match read(&path) {
                Ok(remembered) => return Some(remembered),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!("{} is not used: {error}", path.display()),
            }
        }
        None
    }
}

fn read(path: &std::path::Path) -> io::Result<Remembered> {
    let text = fs::read_to_string(path)?;
    let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let (sum, body) = text.split_once('\n').ok_or_else(|| broken("it has no checksum".into()))?;
    if core_stack::hex(&Sha256::digest(body.as_bytes())) != sum {
        return Err(broken("its checksum is wrong".into()));
    }
    let contents: Contents = serde_json::from_str(body).map_err(|error| broken(error.to_string()))?;
    Ok(Remembered { profile: contents.profile, launch: contents.launch, saved: contents.saved })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_state_is_refused_and_the_one_before_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal { path: folder.path().join("state.json"), launch: 7, last: String::new() };
        assert!(journal.read().is_none());
        journal.write("local", &Saved::default()).unwrap();
        journal.write("production", &Saved::default()).unwrap();
        assert_eq!(journal.read().unwrap().profile, "production");
        // The same state is not written again, so the previous file still holds the other state.
        journal.write("production", &Saved::default()).unwrap();
        let whole = fs::read(&journal.path).unwrap();
        for length in (0..whole.len()).step_by(7) {
            fs::write(&journal.path, &whole[..length]).unwrap();
            assert_eq!(journal.read().unwrap().profile, "local", "{length}");
        }
        for at in (0..whole.len()).step_by(5) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&journal.path, &flipped).unwrap();
            assert_eq!(journal.read().unwrap().profile, "local", "{at}");
        }
    }
}
