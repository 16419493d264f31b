//! A terminal that goes away under `core up`.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::pty::openpty;
use serde_json::json;

use crate::common::{Stack, eventually};

/// What it began ends with it, whether it says something at that moment or not.
#[test]
fn a_stack_in_front_ends_with_its_terminal() {
    for line in ["exec sleep 1000", "while :; do echo still here; sleep 0.01; done"] {
        let stack = Stack::new();
        stack.shell("one", line, json!({}));
        let pair = openpty(None, None).expect("a terminal");
        let (mut master, slave) = (File::from(pair.master), File::from(pair.slave));
        // Whoever has the other side open keeps the terminal.
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a flag");
        let copy = || Stdio::from(slave.try_clone().expect("a copy"));
        let fd = slave.as_raw_fd();
        let mut command = stack.command(&["up"]);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // SAFETY: two system calls, both allowed after a fork; the descriptor is open in the child, too.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                if libc::ioctl(fd, libc::TIOCSCTTY, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let mut up = command.spawn().expect("core runs");
        drop(command);
        drop(slave);
        let (mut said, mut buffer) = (String::new(), [0; 4096]);
        // Its last line, before it follows what the service says.
        while !said.contains(" s)") {
            let count = master.read(&mut buffer).expect("it says something");
            said += &String::from_utf8_lossy(&buffer[..count]);
        }
        stack.until_ready();
        let run = stack.run_folder();
        drop(master);
        let status = eventually("it ends", || up.try_wait().expect("it is ours"));
        assert!(status.success(), "{line}: {status}; {said}");
        stack.expect_nothing_left(run.as_deref());
    }
}
