//! Reports changes in folders, from the kernel by `notify`, which polls where the kernel cannot report them (network
//! file systems, exhausted limits).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use core_manifest::named;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{EventHandler, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind};
use notify_debouncer_mini::{
    Config, DebounceEventResult, DebouncedEvent, DebouncedEventKind, Debouncer, new_debouncer_opt,
};

use crate::certificates;

/// How long a file must be unchanged before it is read: an editor saves in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// The longest wait for that.
const LONGEST: Duration = Duration::from_millis(200);
/// How often files are compared if the kernel does not report changes.
const POLL: Duration = Duration::from_secs(1);

/// File systems on which other hosts may change files without this kernel knowing, by their magic numbers of
/// `statfs(2)`: NFS, SMB, SMB2, CIFS, Ceph, AFS, 9p, FUSE.
const REMOTE: [u32; 8] = [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x00c3_6400, 0x5346_414f, 0x0102_1997, 0x6573_5546];

/// Watched folders.
pub(crate) struct Changes {
    events: Receiver<DebounceEventResult>,
    meant: Meant,
    /// Watches until dropped; `None` if nothing can watch.
    watching: Option<Watching>,
}

/// The watcher.
enum Watching {
    Kernel(#[expect(dead_code, reason = "it watches until it is dropped")] Debouncer<Writes<RecommendedWatcher>>),
    Poll(#[expect(dead_code, reason = "it watches until it is dropped")] Debouncer<Writes<PollWatcher>>),
}

/// Which changes matter. Services work in these folders too, and what they write there must not cause a new reading of
/// all manifests.
#[derive(Clone)]
struct Meant {
    services: PathBuf,
    folders: BTreeSet<PathBuf>,
    names: BTreeSet<OsString>,
}

impl Changes {
    /// Watches `folders`, which contain `files`.
    pub(crate) fn of(root: &Path, files: &BTreeSet<PathBuf>, folders: &BTreeSet<PathBuf>) -> Self {
        let leads_to = |file: &PathBuf| fs::canonicalize(file).ok()?.file_name().map(OsStr::to_owned);
        let links = files.iter().filter(|file| file.is_symlink()).filter_map(leads_to);
        let own = files.iter().filter_map(|file| file.file_name().map(OsStr::to_owned));
        let names = ["manifests", "services"].map(OsString::from).into_iter().chain(own).chain(links).collect();
        let meant = Meant { services: root.join("services"), folders: folders.clone(), names };
        let (sender, events) = channel();
        let by_kernel = || {
            let debouncer = new_debouncer_opt(Config::default().with_timeout(QUIET), sender.clone()).ok()?;
            watch(debouncer, folders).map(Watching::Kernel)
        };
        let by_polling = || {
            let poll = notify::Config::default().with_poll_interval(POLL).with_compare_contents(true);
            let config = Config::default().with_timeout(QUIET).with_notify_config(poll);
            watch(new_debouncer_opt(config, sender.clone()).ok()?, folders).map(Watching::Poll)
        };
        let watching = if is_remote(root) { by_polling() } else { by_kernel().or_else(by_polling) };
        Self { events, meant, watching }
    }

    /// Blocks until something that matters has changed, and the change is complete.
    pub(crate) fn wait(&self) {
        // Without a watcher (no descriptor or thread is left), the caller looks once a second.
        if self.watching.is_none() {
            std::thread::sleep(POLL);
            return;
        }
        while let Ok(events) = self.events.recv() {
            if self.matters(&events) {
                self.until_quiet(events);
                return;
            }
        }
    }

    fn until_quiet(&self, mut events: DebounceEventResult) {
        let until = Instant::now() + LONGEST;
        let goes_on = |events: &DebounceEventResult| {
            let all = events.as_deref().unwrap_or_default();
            all.iter().any(|event| event.kind == DebouncedEventKind::AnyContinuous && self.meant.is(event))
        };
        while goes_on(&events) {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(more) => events = more,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn matters(&self, events: &DebounceEventResult) -> bool {
        // After an error of the watcher, events may be lost.
        events.as_ref().map_or(true, |events| events.iter().any(|event| self.meant.is(event)))
    }
}

impl Meant {
    fn is(&self, event: &DebouncedEvent) -> bool {
        let path = &event.path;
        let is_folder = self.folders.contains(path) || path.parent() == Some(&self.services) || path.is_dir();
        let endings = ["json", named::PAGE].into_iter().chain(certificates::ENDINGS);
        let is_read = path.extension().is_some_and(|ending| endings.into_iter().any(|one| ending == one));
        is_folder || is_read || path.file_name().is_none_or(|name| self.names.contains(name))
    }
}

/// Watches each of the folders; `None` if one cannot be watched.
fn watch<W: Watcher>(mut debouncer: Debouncer<W>, folders: &BTreeSet<PathBuf>) -> Option<Debouncer<W>> {
    for folder in folders {
        let watched = debouncer.watcher().watch(folder, RecursiveMode::NonRecursive);
        // A missing folder is noticed in the one where it will appear.
        if watched.is_err() && folder.is_dir() {
            return None;
        }
    }
    Some(debouncer)
}

fn is_remote(folder: &Path) -> bool {
    let kind = rustix::fs::statfs(folder).map(|stat| stat.f_type);
    kind.is_ok_and(|kind| u32::try_from(kind).is_ok_and(|kind| REMOTE.contains(&kind)))
}

/// A watcher that passes on only what may change a file: reading the manifests opens them, which changes nothing.
struct Writes<W>(W);

impl<W: Watcher> Watcher for Writes<W> {
    fn new<F: EventHandler>(mut handler: F, config: notify::Config) -> notify::Result<Self> {
        let pass = move |event: notify::Result<notify::Event>| {
            let event = event.map(|mut event| {
                // Events were lost, so anything may have changed.
                if event.need_rescan() {
                    event.paths.push("/".into());
                }
                event
            });
            let is_open = matches!(
                &event,
                Ok(notify::Event { kind: EventKind::Access(access), .. })
                    if *access != AccessKind::Close(AccessMode::Write)
            );
            if !is_open {
                handler.handle_event(event);
            }
        };
        W::new(pass, config).map(Self)
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.0.watch(path, mode)
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        self.0.unwatch(path)
    }

    fn kind() -> WatcherKind {
        W::kind()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn changes(root: &Path) -> Changes {
        let files = BTreeSet::from([root.join(".env")]);
        let folders = [root.to_owned(), root.join("services"), root.join("elsewhere")];
        Changes::of(root, &files, &BTreeSet::from(folders))
    }

    /// Whether a change that matters is reported within `patience`.
    fn is_reported(changes: &Changes, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while let Ok(events) = changes.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if changes.matters(&events) {
                return true;
            }
        }
        false
    }

    #[test]
    fn what_services_write_beside_is_no_reason_to_look() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("elsewhere")).unwrap();
        fs::write(root.join("elsewhere/settings"), "A=1").unwrap();
        symlink("elsewhere/settings", root.join(".env")).unwrap();
        let changes = changes(root);
        for name in ["out.log", "elsewhere/other"] {
            fs::write(root.join(name), "x").unwrap();
            // Reported, and does not matter. What core reads is not even reported.
            let events = changes.events.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(!changes.matters(&events), "{name}: {events:?}");
            while changes.events.recv_timeout(4 * QUIET).is_ok() {}
            fs::read(root.join(name)).unwrap();
        }
        assert!(changes.events.recv_timeout(4 * QUIET).is_err());
        for name in ["elsewhere/settings", "new.json", "services/x"] {
            let path = root.join(name);
            let made = if name == "services/x" { fs::create_dir_all(path) } else { fs::write(path, "A=2") };
            made.unwrap();
            assert!(is_reported(&changes, Duration::from_secs(60)), "{name}");
        }
    }

    /// More happens than the kernel has room to report.
    #[test]
    fn a_flood_of_events_ends_in_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        let changes = changes(folder.path());
        for number in 0..=most / 2 {
            fs::write(folder.path().join(".env"), number.to_string()).unwrap();
            fs::remove_file(folder.path().join(".env")).unwrap();
        }
        changes.wait();
    }

    #[test]
    fn where_the_kernel_reports_nothing_contents_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let poll = notify::Config::default().with_poll_interval(POLL / 20).with_compare_contents(true);
        let (sender, events) = channel();
        let config = Config::default().with_timeout(QUIET).with_notify_config(poll);
        let debouncer = new_debouncer_opt(config, sender).unwrap();
        let meant =
            Meant { services: folder.path().join("services"), folders: BTreeSet::new(), names: BTreeSet::new() };
        let watching = watch(debouncer, &BTreeSet::from([folder.path().to_owned()])).map(Watching::Poll);
        let changes = Changes { events, meant, watching };
        fs::write(folder.path().join("new.json"), "1").unwrap();
        assert!(is_reported(&changes, Duration::from_secs(60)));
    }

    #[test]
    fn without_a_watcher_one_looks_again() {
        let (_, events) = channel();
        let meant = Meant { services: "/services".into(), folders: BTreeSet::new(), names: BTreeSet::new() };
        let began = Instant::now();
        Changes { events, meant, watching: None }.wait();
        assert!(began.elapsed() >= POLL);
    }
}
