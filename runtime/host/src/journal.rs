//! `state.json`: what is wanted, written before what follows from it. It survives a power cut: written beside, synced,
//! renamed, and the one before it is kept.

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

/// What stands in the file.
#[derive(Deserialize)]
struct Contents {
    /// Which profile the stack runs with.
    profile: String,
    saved: Saved,
}

/// The same, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    profile: &'a str,
    saved: &'a Saved,
}

/// What must be free: `state.json` twice, the history, and the first lines of a few logs.
const ROOM: usize = 256 << 10;

/// What there is to do when there is no room for what was asked.
pub(crate) const ROOM_HELP: &str =
    "nothing was changed; make room on its disk, or mount it so that it can be written, and ask again";

/// The state of a stack on disk.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    /// The checksum of what was written last.
    last: String,
}

/// What was written down.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The profile.
    pub profile: String,
    /// The engine's memory.
    pub saved: Saved,
}

impl Journal {
    /// Of a stack.
    pub fn new(paths: &Paths) -> Self {
        Self { path: paths.state().join("state.json"), last: String::new() }
    }

    /// Writes the state down, where it is another than the last one: what is synced is waited for.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, profile: &str, saved: &Saved) -> io::Result<()> {
        let contents = Written { version: 1, profile, saved };
        let text = serde_json::to_string(&contents).map_err(io::Error::other)?;
        let sum = core_stack::hex(&Sha256::digest(text.as_bytes()));
        if sum == self.last && self.path.exists() {
            return Ok(());
        }
        let beside = self.path.with_extension("json.new");
        // It holds the environment of services, so it is readable by nobody else.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        // The checksum first, so that a torn file is told by its first line.
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

    /// Whether there is room for what a change would write down. An edit that begins on a full disk could not be written
    /// down, nor what it starts say why it failed.
    ///
    /// # Errors
    /// What keeps it from being written, and what to do.
    pub fn room(paths: &Paths) -> Result<(), Box<Diagnostic>> {
        Self::try_room(paths).map_err(|message| {
            let help =
                "make room on its disk, then `core apply`; until then edits are refused; running services keep serving";
            Box::new(Diagnostic::new("no-room", message).help(help))
        })
    }

    /// The same for what somebody asks for.
    ///
    /// # Errors
    /// What keeps it from being written, and what to do, in a line.
    pub fn room_for_command(paths: &Paths) -> Result<(), String> {
        Self::try_room(paths).map_err(|message| format!("{message}; {ROOM_HELP}"))
    }

    fn try_room(paths: &Paths) -> Result<(), String> {
        // It may have been cleaned away under a stack that runs.
        let _ = paths.write_down();
        let path = paths.state().join("room");
        let write = || File::create(&path).and_then(|mut file| file.write_all(&vec![0; ROOM]));
        let written = descriptors::with_reserve(write);
        let _ = fs::remove_file(&path);
        written.map_err(|error| {
            format!("{} cannot be written: {}", paths.shown(&paths.state()), own_log::in_words(&error))
        })
    }

    /// What was written down last and is whole; a torn file is said, and the one before it taken.
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
    Ok(Remembered { profile: contents.profile, saved: contents.saved })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_state_is_refused_and_the_one_before_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal { path: folder.path().join("state.json"), last: String::new() };
        assert!(journal.read().is_none());
        journal.write("local", &Saved::default()).unwrap();
        journal.write("production", &Saved::default()).unwrap();
        assert_eq!(journal.read().unwrap().profile, "production");
        // The same once more is not written once more: the one before it is still the other one.
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
