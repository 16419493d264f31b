//! The key that server actions are encrypted with. Next.js makes a new one for each build, and then the forms of pages
//! that are open in browsers are refused after a deploy; one that is kept gives actions the same IDs in each release.
//!
//! A person may rotate it. Releases that are built from then on have the new key, and for a time honour what was encrypted
//! with the former one (`services/web/src/actions.cjs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use core_next::build::{ACTIONS_KEY, ACTIONS_KEYS, ACTIONS_LIST};
use core_stack::Building;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kept;
use crate::paths::Paths;

/// Length of a key, in bytes: Next.js uses AES-256.
const LENGTH: usize = 32;
/// How long a former key is honoured, from the first release that has a newer one: a form that was open over night is
/// accepted in the morning, and a key that somebody else has got is of no use to them for longer.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// How many former keys are honoured at most: each one costs a try where nothing can be decrypted.
const MOST: usize = 8;

/// What is kept of rotations, beside the key.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Past {
    /// When the last one was. Releases that were built before are of another key.
    rotated: String,
    /// Keys from before, the newest first.
    former: Vec<Former>,
}

/// A key from before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Former {
    key: String,
    /// When the first release was built with a newer one; until then, it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<String>,
}

impl Former {
    /// Until when it is honoured, if that is known.
    fn until(&self) -> Option<Timestamp> {
        self.retired.as_ref().and_then(|time| time.parse::<Timestamp>().ok()?.checked_add(WINDOW).ok())
    }
}

/// The keys of a release that is built.
#[derive(Debug, PartialEq)]
pub(super) struct Keys {
    key: String,
    former: Vec<Former>,
}

/// The file with the key of a service.
fn file(paths: &Paths, service: &str) -> PathBuf {
    paths.secrets().join(format!("{service}-actions-key"))
}

/// The file with what is kept of its rotations.
fn past_file(paths: &Paths, service: &str) -> PathBuf {
    paths.secrets().join(format!("{service}-actions-key-former"))
}

/// What is kept of rotations; nothing if there was none, or it cannot be read.
fn past(paths: &Paths, service: &str) -> Option<Past> {
    serde_json::from_slice(&crate::files::read(&past_file(paths, service)).ok()?).ok()
}

fn keep(paths: &Paths, service: &str, past: &Past) -> io::Result<()> {
    kept::write(&past_file(paths, service), &serde_json::to_string(past)?)
}

/// Whether the person who builds has set a key: that one counts.
fn has_own(building: &Building) -> bool {
    let inherited = std::env::var_os(ACTIONS_KEY).is_some_and(|key| !key.is_empty());
    inherited || building.env.contains_key(ACTIONS_KEY)
}

/// When the key was rotated last, if it was: sources that were built before are to be built again.
pub(super) fn rotated(paths: &Paths, service: &str) -> Option<String> {
    past(paths, service).map(|past| past.rotated)
}

/// Makes a new key for the releases that are built from now on. What was encrypted with the one before is honoured by them
/// for a time, or refused `at_once`, as is what was encrypted with those from before that.
///
/// # Errors
/// Why there is no new key, as text for people.
pub(super) fn rotate(paths: &Paths, service: &str, building: &Building, at_once: bool) -> Result<(), String> {
    if has_own(building) {
        return Err(format!("the key of {service} is not core's: {ACTIONS_KEY} is set, and counts"));
    }
    let path = file(paths, service);
    let failed = |error: io::Error| format!("{}: {error}", paths.shown(&path));
    let before = kept::secret(&path, LENGTH).map_err(failed)?;
    let mut former = vec![Former { key: before.clone(), retired: None }];
    former.extend(past(paths, service).unwrap_or_default().former.into_iter().filter(|one| one.key != before));
    let now = Timestamp::now();
    former.retain(|one| !at_once && one.until().is_none_or(|until| now < until));
    former.truncate(MOST);
    // In this order: whatever is lost by a power cut, the key that is in use is known.
    keep(paths, service, &Past { rotated: now.to_string(), former }).map_err(failed)?;
    kept::renew(&path, LENGTH).map_err(failed)
}

impl Keys {
    /// The keys of a release of a service; none if the person who builds has set one. The first build makes the key. One that
    /// cannot be kept is not used: the build makes its own, as it would without core.
    pub(super) fn of(paths: &Paths, service: &str, building: &Building) -> Option<Self> {
        if has_own(building) {
            return None;
        }
        let path = file(paths, service);
        match kept::secret(&path, LENGTH) {
            Ok(key) => {
                let mut former = past(paths, service).unwrap_or_default().former;
                former.retain(|one| one.key != key);
                Some(Self { key, former })
            }
            Err(error) => {
                let shown = paths.shown(&path);
                tracing::warn!(service, "forms of this release are not those of the next one: {shown}: {error}");
                None
            }
        }
    }

    /// The variable of the build that has the key.
    pub(super) fn variable(&self) -> (&'static str, &str) {
        (ACTIONS_KEY, &self.key)
    }

    /// Gives a release that was built with these keys what its server needs to know of them; `home` is the folder of its
    /// server. The first release with a newer key ends the use of those before.
    ///
    /// # Errors
    /// The error of the file system.
    pub(super) fn hand_over(mut self, paths: &Paths, service: &str, home: &Path) -> io::Result<()> {
        let now = Timestamp::now();
        for one in &mut self.former {
            one.retired.get_or_insert_with(|| now.to_string());
        }
        if let Some(past) = past(paths, service).filter(|past| past.former != self.former) {
            keep(paths, service, &Past { former: self.former.clone(), ..past })?;
        }
        let is_honoured = |one: &&Former| one.until().is_some_and(|until| now < until);
        let told = |one: &Former| json!({"key": one.key, "until": one.until().map(|until| until.to_string())});
        let former: Vec<Value> = self.former.iter().filter(is_honoured).map(told).collect();
        let list: Value = fs::read(home.join(ACTIONS_LIST))
            .map_or(Value::Null, |list| serde_json::from_slice(&list).unwrap_or_default());
        // A build that took another key for what it wrote down: its server has to be told.
        let is_told = list["encryptionKey"].as_str().is_none_or(|key| key == self.key);
        if former.is_empty() && is_told {
            return Ok(());
        }
        let target = home.join(ACTIONS_KEYS);
        fs::create_dir_all(target.parent().unwrap_or(home))?;
        fs::write(target, json!({"key": self.key, "former": former}).to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn paths(root: &Path) -> Paths {
        let root = root.to_owned();
        Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None }
    }

    fn key(paths: &Paths, service: &str) -> Option<String> {
        Keys::of(paths, service, &Building::default()).map(|keys| keys.key)
    }

    #[test]
    fn the_key_is_made_once_and_one_that_was_set_counts() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let made = key(&paths, "web").unwrap();
        assert_eq!(STANDARD.decode(&made).unwrap().len(), LENGTH);
        assert_eq!(key(&paths, "web").unwrap(), made);
        assert_ne!(key(&paths, "other").unwrap(), made);
        assert_eq!(fs::metadata(file(&paths, "web")).unwrap().permissions().mode() & 0o777, 0o600);
        let set = Building { env: [(ACTIONS_KEY.to_owned(), "mine".to_owned())].into(), ..Building::default() };
        assert_eq!(Keys::of(&paths, "web", &set), None);
        assert!(rotate(&paths, "web", &set, false).unwrap_err().contains(ACTIONS_KEY));
        assert_eq!(key(&paths, "web").unwrap(), made, "a key of the person's own is all that counts");
        fs::write(file(&paths, "cut"), "").unwrap();
        assert!(key(&paths, "cut").is_some());
        fs::create_dir(file(&paths, "bad")).unwrap();
        assert_eq!(key(&paths, "bad"), None, "the build goes on");
    }

    #[test]
    fn a_former_key_is_honoured_from_the_first_release_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let building = Building::default();
        let home = folder.path().join("server");
        let built = || -> Value {
            let _ = fs::remove_dir_all(&home);
            Keys::of(&paths, "web", &building).unwrap().hand_over(&paths, "web", &home).unwrap();
            fs::read(home.join(ACTIONS_KEYS)).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
        };
        let first = key(&paths, "web").unwrap();
        assert_eq!((built(), rotated(&paths, "web")), (Value::Null, None));
        rotate(&paths, "web", &building, false).unwrap();
        let second = key(&paths, "web").unwrap();
        assert!(second != first && rotated(&paths, "web").is_some());
        assert_eq!(fs::metadata(past_file(&paths, "web")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(past(&paths, "web").unwrap().former, [Former { key: first.clone(), retired: None }]);
        let told = built();
        assert_eq!((&told["key"], &told["former"][0]["key"]), (&json!(second), &json!(first)));
        assert_eq!(built(), told, "a further release honours it no longer than the first");
        rotate(&paths, "web", &building, false).unwrap();
        let told = built();
        assert_eq!((&told["former"][0]["key"], &told["former"][1]["key"]), (&json!(second), &json!(first)));
        // Those whose time is over.
        let mut over = past(&paths, "web").unwrap();
        for one in &mut over.former {
            one.retired = Some((Timestamp::now() - WINDOW).to_string());
        }
        keep(&paths, "web", &over).unwrap();
        assert_eq!(built(), Value::Null);
        rotate(&paths, "web", &building, false).unwrap();
        assert_eq!(built()["former"].as_array().map(Vec::len), Some(1));
        rotate(&paths, "web", &building, true).unwrap();
        assert_eq!(built(), Value::Null, "at once");
        fs::write(past_file(&paths, "web"), "{").unwrap();
        assert_eq!(built(), Value::Null);
    }

    #[test]
    fn a_server_is_told_a_key_that_its_build_did_not_write_down() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let home = folder.path().join("server");
        let own = key(&paths, "web").unwrap();
        for (written, is_told) in [(own.as_str(), false), ("another", true)] {
            fs::create_dir_all(home.join(".next/server")).unwrap();
            fs::write(home.join(ACTIONS_LIST), json!({"encryptionKey": written}).to_string()).unwrap();
            Keys::of(&paths, "web", &Building::default()).unwrap().hand_over(&paths, "web", &home).unwrap();
            assert_eq!(home.join(ACTIONS_KEYS).exists(), is_told);
        }
    }
}
