//! A network of a test's own, and an ordinary user in it.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;

use super::{CORE, Stack, checkout};

/// Debian's `nobody`, with the group `nogroup`.
const NOBODY: u32 = 65_534;

/// Runs something with a network of its own: nothing but loopback, where any user may open ports from this one on. What it
/// starts, threads and programs, is in that network too. Only root can make one.
pub(crate) fn apart(first_port: u16, what: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        // SAFETY: it changes what network this thread is in, and nothing else.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "{}", std::io::Error::last_os_error());
        bring_loopback_up();
        fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", first_port.to_string()).expect("the first port");
        what();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn bring_loopback_up() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // SAFETY: all zeros is a request without a name or flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = libc::c_char::try_from(from).expect("ASCII");
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).expect("a flag");
    // SAFETY: the kernel reads the request, which outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// An ordinary user with programs of their own: `core`, and others.
pub(crate) struct User {
    programs: PathBuf,
}

impl User {
    /// `core` as this user.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.programs.join("core"));
        command.uid(NOBODY).gid(NOBODY).env("HOME", &self.programs).env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Their copy of a program, for a manifest.
    pub(crate) fn program(&self, path: &str) -> String {
        let name = Path::new(path).file_name().expect("its name");
        self.programs.join(name).display().to_string()
    }
}

impl Stack {
    /// Hands over all of a stack to an ordinary user, with what is fetched under a name, and copies of programs.
    pub(crate) fn hand_over(mut self, fetched: &str, copied: &[&str]) -> Self {
        self.ok(&["lock"]);
        let programs = self.root.join("programs");
        fs::create_dir(&programs).expect("a folder");
        let copied = Command::new("cp").arg("-a").arg(CORE).args(copied).arg(&programs).status();
        assert!(copied.expect("cp runs").success());
        let shared = self.root.join(".dep");
        fs::remove_file(&shared).expect("the link");
        fs::create_dir(&shared).expect("a folder");
        let all = fs::read_dir(checkout().join(".dep")).expect(".dep").flatten().map(|entry| entry.path());
        let of_name =
            all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(fetched)));
        let copied = Command::new("cp").arg("-a").args(of_name).arg(&shared).status();
        assert!(copied.expect("cp runs").success());
        let owner = format!("{NOBODY}:{NOBODY}");
        let own = Command::new("chown").args(["-R", &owner]).arg(&self.root).status();
        assert!(own.expect("chown runs").success());
        self.user = Some(User { programs });
        self
    }

    /// The user that it was handed over to.
    pub(crate) fn user(&self) -> &User {
        self.user.as_ref().expect("an ordinary user")
    }
}
