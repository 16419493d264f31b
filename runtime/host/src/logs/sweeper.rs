//! Keeps logs within their limits while they are written. The kernel reports where segments are created, and only there
//! it checks. So a stack that logs little costs nothing, and a crash loop or a flood is cut back within seconds.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use core_shim::folder;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::Retention;
use super::store::Segment;
use crate::paths::Paths;

/// How long to collect reports before a check. A flood writes some 100 MB in this time.
const PAUSE: Duration = Duration::from_millis(200);
/// How often to check if the kernel cannot report new segments.
const RESCAN: Duration = Duration::from_secs(10);
/// After a check, the pause is this many times as long as the check.
const SHARE: u32 = 3;
/// How often to check all logs, for segments that have become too old.
const ALL: Duration = Duration::from_secs(60);

/// The sender of limits to the thread that keeps logs short. The thread ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Sweeper(Sender<Retention>);

impl Sweeper {
    /// Starts the thread. If the system has no thread left, logs grow without limit.
    pub(crate) fn start(paths: &Paths) -> Self {
        let (sender, limits) = mpsc::channel();
        let paths = paths.clone();
        let thread = std::thread::Builder::new().name("logs".into()).spawn(move || run(&paths, &limits));
        if let Err(error) = thread {
            tracing::warn!("logs are not kept within their limits: {error}");
        }
        Self(sender)
    }

    /// Replaces the limits.
    pub(crate) fn keep(&self, retention: Retention) {
        let _ = self.0.send(retention);
    }
}

fn run(paths: &Paths, limits: &Receiver<Retention>) {
    let mut growth = Growth::of(paths.logs());
    // The limits are known once the manifests were read.
    let Ok(mut retention) = limits.recv() else { return };
    let mut all_at = Instant::now() + PAUSE;
    loop {
        let left = all_at.saturating_duration_since(Instant::now());
        let grows = match &growth {
            Some(growth) => has_more(&growth.fd, Some(left)),
            None => {
                std::thread::sleep(left.min(RESCAN));
                false
            }
        };
        if grows {
            std::thread::sleep(PAUSE);
        }
        match limits.try_recv() {
            Ok(newer) => retention = limits.try_iter().last().unwrap_or(newer),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
        let began = Instant::now();
        let services = growth.as_mut().filter(|_| grows).and_then(Growth::take);
        match services {
            Some(services) if services.is_empty() => continue,
            Some(services) => retention.sweep(paths, &services.into_iter().collect::<Vec<_>>()),
            None => {
                // Watches that failed before may succeed now.
                growth = Growth::of(paths.logs());
                retention.sweep(paths, &[]);
                all_at = Instant::now() + ALL;
            }
        }
        std::thread::sleep(began.elapsed() * SHARE);
    }
}

/// Watches the folders in which segments are created.
struct Growth {
    fd: OwnedFd,
    logs: PathBuf,
    /// Folders by watch; the levels below `logs` are services, then slots.
    folders: HashMap<i32, PathBuf>,
}

impl Growth {
    fn of(logs: PathBuf) -> Option<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let _ = folder::make(&logs, 0o777);
        let mut growth = Self { fd, logs: logs.clone(), folders: HashMap::new() };
        growth.watch(&logs);
        (!growth.folders.is_empty()).then_some(growth)
    }

    /// Watches a folder and its subfolders down to the level of slots.
    fn watch(&mut self, folder: &Path) {
        let flags = WatchFlags::CREATE | WatchFlags::ONLYDIR;
        let Ok(watch) = inotify::add_watch(&self.fd, folder, flags) else { return };
        self.folders.insert(watch, folder.to_owned());
        let depth = folder.strip_prefix(&self.logs).map_or(2, |below| below.components().count());
        if depth < 2 {
            let inner = fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                self.watch(&entry.path());
            }
        }
    }

    /// The services for which something was created; `None` if events were lost.
    fn take(&mut self) -> Option<BTreeSet<String>> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4 << 10];
        let (mut services, mut created, mut is_whole) = (BTreeSet::new(), Vec::new(), true);
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                is_whole = false;
            } else if flags.contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
            } else if let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) {
                let path = folder.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
                if flags.contains(ReadFlags::ISDIR) {
                    created.push(path);
                } else if has_older(&path) {
                    let below = path.strip_prefix(&self.logs).ok().and_then(|below| below.components().next());
                    services.extend(below.map(|service| service.as_os_str().to_string_lossy().into_owned()));
                }
            }
        }
        for folder in created {
            self.watch(&folder);
        }
        is_whole.then_some(services)
    }
}

/// Whether a file is a segment, but not the first of its instance, so that there may be surplus. A starting stack
/// creates only first segments.
fn has_older(path: &Path) -> bool {
    Segment::parse(path).is_some_and(|(_, segment)| segment.invocation > 1 || segment.number > 0)
}

/// Waits for an event, for at most `patience` or without limit. Returns whether there is one.
fn has_more(events: &OwnedFd, patience: Option<Duration>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_is_told_however_new_his_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let mut growth = Growth::of(logs.clone()).unwrap();
        let told = |growth: &mut Growth| {
            assert!(has_more(&growth.fd, Some(Duration::from_secs(60))));
            growth.take().unwrap().into_iter().collect::<Vec<_>>()
        };
        fs::create_dir_all(logs.join("web/web-0")).unwrap();
        assert!(told(&mut growth).is_empty());
        fs::create_dir_all(logs.join("api/api-0")).unwrap();
        fs::write(logs.join("web/web-0/1.1.out.0.log"), "x").unwrap();
        fs::write(logs.join("web/web-0/1.1.out.1.log"), "x").unwrap();
        assert_eq!(told(&mut growth), ["web"]);
        assert!(!has_more(&growth.fd, Some(Duration::ZERO)), "nothing has happened since");
        fs::write(logs.join("web/web-0/1.1.out.1.log"), "more").unwrap();
        assert!(!has_more(&growth.fd, Some(Duration::ZERO)), "a segment that grows is no new one");
        fs::write(logs.join("api/api-0/1.1.err.0.log"), "x").unwrap();
        assert!(told(&mut growth).is_empty(), "the first one");
        fs::write(logs.join("api/api-0/1.2.err.0.log"), "x").unwrap();
        assert_eq!(told(&mut growth), ["api"]);
    }
}
