//! A folder with the two named pipes by which the services are seen: each says its number when it begins, and holds a
//! pipe open for as long as it lives. So nothing has to be asked again and again while something is measured.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

/// How long anything may take before the run is given up.
const PATIENCE: u16 = 60_000;

/// One folder for one round of one tool.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    /// How many services.
    pub(crate) count: usize,
    said: File,
    held: File,
}

impl Place {
    /// With the pipes, and nothing running.
    pub(crate) fn new(count: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("core-bench-").tempdir().expect("a folder");
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
            path
        };
        // Open for writing too: it never ends. The other one ends when the last service that holds it has gone.
        let said = OpenOptions::new().read(true).write(true).open(pipe("said")).expect("the pipe");
        let held = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe("held")).expect("the pipe");
        Self { folder, count, said, held }
    }

    /// Where the tool keeps its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The shell line of every service.
    pub(crate) fn line(&self) -> String {
        let folder = self.folder.path().display();
        format!("exec 9>{folder}/held; echo $$ >{folder}/said; exec sleep 100000")
    }

    /// Waits until so many services have begun, and returns their numbers.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<i32> {
        let mut text = String::new();
        let mut said = &self.said;
        while text.lines().count() < count || !text.ends_with('\n') {
            let mut fds = [PollFd::new(self.said.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll");
            assert!(ready > 0, "not {count} within {} s", PATIENCE / 1000);
            let mut buffer = [0; 4096];
            let read = said.read(&mut buffer).expect("the pipe");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        text.lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    /// Waits until no service is left.
    pub(crate) fn wait_for_none(&self) {
        loop {
            let mut fds = [PollFd::new(self.held.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll");
            assert!(ready > 0, "some are left after {} s", PATIENCE / 1000);
            if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
                return;
            }
        }
    }
}
