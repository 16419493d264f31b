//! Edits of the manifests: noticed as they are saved.
//!
//! What the kernel tells is a reason to look, never what was changed: the files are compared by what is in them. So a
//! file that was only touched, one that was written through a name of its own and renamed, and one that is reached by
//! a link are all the same; and events that got lost cost nothing but a look.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use crate::files;

/// How long nothing may come until one looks: an editor saves a file in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// The longest that one waits for that.
const LONGEST: Duration = Duration::from_millis(200);
/// How often one looks where the kernel could not be asked to tell everything.
const RESCAN: Duration = Duration::from_secs(1);

/// What is in all files that a topology is made of, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// As the files are now. One that cannot be read counts as the reason why.
    pub(crate) fn of(root: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        for file in files(root) {
            let contents = files::read(&file).map_err(|error| error.kind());
            (file, contents).hash(&mut hasher);
        }
        Self(hasher.finish())
    }

    /// The number that stands for them.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Says what is in the files, at first and then whenever it is something else; from a thread of its own, until nobody
/// listens. Where the system has none, edits wait for `core apply`.
pub(crate) fn begin(root: PathBuf, sender: UnboundedSender<Fingerprint>) {
    let thread = std::thread::Builder::new().name("watch".into()).spawn(move || run(&root, &sender));
    if let Err(error) = thread {
        crate::say(&format!("edits are not followed: {error}"));
    }
}

fn run(root: &Path, sender: &UnboundedSender<Fingerprint>) {
    let mut last = None;
    loop {
        // Watched first, then looked at: what is changed from now on is told. Anew each time, since folders may have
        // been put in the place of others; those that were watched before are forgotten with the descriptor.
        let watch = Watch::of(root);
        let now = Fingerprint::of(root);
        if last != Some(now) && sender.send(now).is_err() {
            return;
        }
        last = Some(now);
        watch.wait();
    }
}

/// The folders in which something that matters may change, watched.
struct Watch {
    events: Option<OwnedFd>,
    /// What matters is called one of these, besides folders and whatever ends in `.json`. Services work in these
    /// folders, too, and what they write there is no reason to read all manifests.
    names: BTreeSet<OsString>,
    /// All of them are.
    is_complete: bool,
}

impl Watch {
    fn of(root: &Path) -> Self {
        let Ok(events) = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) else {
            return Self { events: None, names: BTreeSet::new(), is_complete: false };
        };
        let files = files(root);
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            // What could not be read may be readable now.
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        let mut is_complete = true;
        for folder in folders(root, &files) {
            match inotify::add_watch(&events, &folder, flags) {
                // One that is not there comes into being in one that is.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(_) => is_complete = false,
            }
        }
        let leads_to = |file: &PathBuf| fs::canonicalize(file).ok()?.file_name().map(OsStr::to_owned);
        let links = files.iter().filter(|file| file.is_symlink()).filter_map(leads_to);
        let names = ["manifests", "services", ".env"].map(OsString::from).into_iter().chain(links).collect();
        Self { events: Some(events), names, is_complete }
    }

    /// Returns when there is a reason to look.
    fn wait(&self) {
        let Some(events) = &self.events else {
            std::thread::sleep(RESCAN);
            return;
        };
        let until = (!self.is_complete).then(|| Instant::now() + RESCAN);
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        while has_more(events, left()) {
            if self.take_all(events) {
                self.until_quiet(events);
                return;
            }
        }
    }

    /// An edit is under way: the rest of it is waited for.
    fn until_quiet(&self, events: &OwnedFd) {
        let until = Instant::now() + LONGEST;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(QUIET);
            if left.is_zero() || !has_more(events, Some(left)) {
                return;
            }
            self.take_all(events);
        }
    }

    /// Takes all events that are there. Returns whether one of them matters.
    fn take_all(&self, events: &OwnedFd) -> bool {
        let mut buffer = [const { MaybeUninit::uninit() }; 4 << 10];
        let mut reader = inotify::Reader::new(events, &mut buffer);
        let mut matters = false;
        while let Ok(event) = reader.next() {
            // Without a name it is about the folder itself, or says that others were lost.
            matters |= event.events().contains(ReadFlags::ISDIR)
                || event.file_name().is_none_or(|name| self.is_meant(OsStr::from_bytes(name.to_bytes())));
        }
        matters
    }

    fn is_meant(&self, name: &OsStr) -> bool {
        self.names.contains(name) || Path::new(name).extension().is_some_and(|ending| ending == "json")
    }
}

/// Waits for an event, for so long at the most. Returns whether there is one.
pub(crate) fn has_more(events: &OwnedFd, patience: Option<Duration>) -> bool {
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
        });
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.is_ok_and(|count| count > 0),
        }
    }
}

/// The files that a topology is made of, in order: `.env`, the profiles with the lock file, and the manifests.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::from([root.join(".env")]);
    all.extend(entries(&root.join("manifests")).filter(|path| path.extension().is_some_and(|ending| ending == "json")));
    all.extend(entries(&root.join("services")).map(|folder| folder.join("service.json")));
    all
}

/// The folders that these files are in, and those above where a folder may be put in the place of another. Of a file
/// that is a link, the folder of what it leads to as well.
fn folders(root: &Path, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::from([root.to_owned(), root.join("manifests"), root.join("services")]);
    for file in files {
        all.extend(file.parent().map(Path::to_owned));
        if file.is_symlink() {
            all.extend(fs::canonicalize(file).ok().and_then(|target| target.parent().map(Path::to_owned)));
        }
    }
    all
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    struct Watched {
        folder: tempfile::TempDir,
        seen: UnboundedReceiver<Fingerprint>,
        last: Option<Fingerprint>,
    }

    impl Watched {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["manifests", "services/web", "elsewhere"] {
                fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            fs::write(folder.path().join("services/web/service.json"), "1").unwrap();
            let (sender, seen) = unbounded_channel();
            begin(folder.path().to_owned(), sender);
            let mut watched = Self { folder, seen, last: None };
            watched.sees("the beginning");
            watched
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Waits until what was said last is what is there.
        fn sees(&mut self, what: &str) {
            let until = Instant::now() + Duration::from_secs(60);
            while self.last != Some(Fingerprint::of(self.folder.path())) {
                assert!(Instant::now() < until, "{what} was not seen");
                match self.seen.try_recv() {
                    Ok(seen) => self.last = Some(seen),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }
    }

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let mut watched = Watched::new();
        let manifest = watched.path("services/web/service.json");
        fs::write(&manifest, "2").unwrap();
        watched.sees("a write");
        fs::write(watched.path("services/web/.new"), "3").unwrap();
        fs::rename(watched.path("services/web/.new"), &manifest).unwrap();
        watched.sees("a file put in its place");
        fs::write(watched.path(".env"), "A=1").unwrap();
        watched.sees("a new .env");
        fs::write(watched.path("manifests/local.json"), "{}").unwrap();
        watched.sees("a profile");
        fs::create_dir(watched.path("services/new")).unwrap();
        fs::write(watched.path("services/new/service.json"), "1").unwrap();
        watched.sees("a new service");
        fs::write(watched.path("services/new/service.json"), "2").unwrap();
        watched.sees("a write to a new service");
        fs::rename(watched.path("services"), watched.path("before")).unwrap();
        watched.sees("services/ taken away");
        fs::rename(watched.path("before"), watched.path("services")).unwrap();
        watched.sees("services/ put back");
        fs::write(&manifest, "4").unwrap();
        watched.sees("a write to a folder that was away");
        fs::remove_file(&manifest).unwrap();
        watched.sees("a manifest taken away");
        fs::write(watched.path("elsewhere/linked.json"), "1").unwrap();
        symlink("../../elsewhere/linked.json", &manifest).unwrap();
        watched.sees("a link in its place");
        fs::write(watched.path("elsewhere/linked.json"), "2").unwrap();
        watched.sees("a write to what a link leads to");
        fs::rename(watched.path("services/new"), watched.path("elsewhere/new")).unwrap();
        symlink("../elsewhere/new", watched.path("services/new")).unwrap();
        watched.sees("a folder that is a link");
        fs::write(watched.path("elsewhere/new/service.json"), "3").unwrap();
        watched.sees("a write below a folder that is a link");
    }

    #[test]
    fn what_is_in_the_files_counts_and_nothing_else() {
        let mut watched = Watched::new();
        let manifest = watched.path("services/web/service.json");
        let same = fs::read(&manifest).unwrap();
        fs::write(&manifest, same).unwrap();
        fs::write(watched.path("services/web/README.md"), "x").unwrap();
        // Each of those is a reason to look; what is said next is the change that follows.
        fs::write(&manifest, "other").unwrap();
        watched.sees("a change");
        assert!(watched.seen.is_empty());
    }

    #[test]
    fn what_services_write_beside_is_no_reason_to_look() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        fs::write(folder.path().join("elsewhere/settings"), "A=1").unwrap();
        symlink("elsewhere/settings", folder.path().join(".env")).unwrap();
        let watch = Watch::of(folder.path());
        let events = watch.events.as_ref().unwrap();
        for name in ["out.log", "elsewhere/other"] {
            fs::write(folder.path().join(name), "x").unwrap();
            assert!(has_more(events, Some(Duration::ZERO)) && !watch.take_all(events), "{name}");
        }
        for name in ["elsewhere/settings", "new.json"] {
            fs::write(folder.path().join(name), "A=2").unwrap();
            assert!(watch.take_all(events), "{name}");
        }
        fs::create_dir(folder.path().join("services")).unwrap();
        assert!(watch.take_all(events));
    }

    /// More happens than the kernel keeps events of.
    #[test]
    fn a_flood_of_events_ends_in_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        let watch = Watch::of(folder.path());
        for number in 0..=most / 2 {
            fs::write(folder.path().join(".env"), number.to_string()).unwrap();
            fs::remove_file(folder.path().join(".env")).unwrap();
        }
        watch.wait();
        // Nothing is left that would be told again.
        assert!(!has_more(watch.events.as_ref().unwrap(), Some(Duration::ZERO)));
    }

    #[test]
    fn without_watches_one_looks_again() {
        let watch = Watch { events: None, names: BTreeSet::new(), is_complete: false };
        let began = Instant::now();
        watch.wait();
        assert!(began.elapsed() >= RESCAN);
    }
}
