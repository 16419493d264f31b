//! A folder with the two named pipes by which the services are seen: each says its name and number when it begins, and
//! holds a pipe open for as long as it lives. So nothing has to be asked again and again while something is measured.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use crate::guard;
use crate::sheet::Miss;

/// What a service said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// `start`, `ready` or `written`.
    pub(crate) what: String,
    /// Its name.
    pub(crate) name: String,
    /// Its first process.
    pub(crate) pid: i32,
    /// When it was heard here.
    pub(crate) at: Instant,
}

/// One folder for one run of one tool.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    /// A folder in memory, for sockets and the like.
    memory: tempfile::TempDir,
    /// How long anything may take here.
    pub(crate) patience: Duration,
    said: File,
    held: File,
    heard: RefCell<Vec<Said>>,
    rest: RefCell<String>,
    taken: Cell<usize>,
}

impl Place {
    /// With the pipes, and nothing running.
    pub(crate) fn new(patience: Duration) -> io::Result<Self> {
        let folders = std::env::var(guard::FOLDERS).map_err(io::Error::other)?;
        let (disk, memory) = folders.split_once(':').ok_or_else(|| io::Error::other("no folders"))?;
        let folder = tempfile::Builder::new().prefix("p").tempdir_in(disk)?;
        let memory = tempfile::Builder::new().prefix("p").tempdir_in(memory)?;
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, Mode::S_IRWXU).map(|()| path)
        };
        // Open for writing too: it never ends. The other one ends when the last service that holds it has gone.
        let said = OpenOptions::new().read(true).write(true).open(pipe("said")?)?;
        let held = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe("held")?)?;
        Ok(Self {
            folder,
            memory,
            patience,
            said,
            held,
            heard: RefCell::default(),
            rest: RefCell::default(),
            taken: Cell::new(0),
        })
    }

    /// Where the tool keeps its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it keeps what should be in memory.
    pub(crate) fn memory(&self) -> &Path {
        self.memory.path()
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Writes a program.
    pub(crate) fn write_program(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.write(name, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// All that was heard so far.
    pub(crate) fn heard(&self) -> Vec<Said> {
        while self.hear(Duration::ZERO) {}
        self.heard.borrow().clone()
    }

    /// Waits until so many more have said something than were taken by this before; returns them.
    pub(crate) fn wait_for(&self, what: &str, count: usize) -> Result<Vec<Said>, Miss> {
        let deadline = Instant::now() + self.patience;
        loop {
            let found: Vec<Said> =
                self.heard.borrow().iter().skip(self.taken.get()).filter(|said| said.what == what).cloned().collect();
            if found.len() >= count {
                self.taken.set(self.heard.borrow().len());
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Miss::Timeout);
            }
            self.hear(left.min(Duration::from_millis(500)));
        }
    }

    /// Takes in what is said, waiting so long for it at most. Whether there was anything.
    fn hear(&self, patience: Duration) -> bool {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.said.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, patience).unwrap_or(0) < 1 {
            return false;
        }
        let at = Instant::now();
        let mut buffer = [0; 4096];
        let mut said = &self.said;
        let read = said.read(&mut buffer).unwrap_or(0);
        let mut rest = self.rest.borrow_mut();
        rest.push_str(&String::from_utf8_lossy(&buffer[..read]));
        while let Some((line, after)) = rest.split_once('\n') {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [what, name, pid] = words[..] {
                let said = Said { what: what.into(), name: name.into(), pid: pid.parse().unwrap_or(0), at };
                self.heard.borrow_mut().push(said);
            }
            let after = after.to_owned();
            *rest = after;
        }
        read > 0
    }

    /// Waits until no service is left.
    pub(crate) fn wait_for_none(&self) -> Result<(), Miss> {
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Miss::Timeout);
            }
            let patience = PollTimeout::try_from(left.min(Duration::from_millis(500))).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(self.held.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, patience);
            if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
                return Ok(());
            }
        }
    }
}
