//! Features of the kernel: process handles, their exit codes, and the peer of a socket.

use std::os::unix::net::UnixStream;

use core_shim::end;
use core_shim::handle::Handle;
use core_shim::sys::{self, Forked};
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid};

use super::Finding;

/// The exit code by which the child is recognized.
const CODE: i32 = 7;

pub(super) fn release() -> Finding {
    let uname = rustix::system::uname();
    Finding::ok("kernel", format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()))
}

pub(super) fn peer_credentials() -> Finding {
    let name = "peer-credentials";
    let pair = UnixStream::pair().map_err(|error| error.to_string());
    let uid = pair.and_then(|(one, _other)| {
        rustix::net::sockopt::socket_peercred(&one).map(|peer| peer.uid.as_raw()).map_err(|error| error.to_string())
    });
    let without = "the control socket answers nobody whose user it cannot tell";
    match uid {
        Ok(uid) if uid == geteuid().as_raw() => Finding::ok(name, "a socket tells whose process speaks (SO_PEERCRED)"),
        Ok(uid) => Finding::missing(name, format!("a socket of ours says user {uid}"), without),
        Err(error) => Finding::missing(name, format!("SO_PEERCRED: {error}"), without),
    }
    .required()
}

pub(super) fn pidfd() -> Finding {
    let name = "pidfd";
    if let Err(error) = sys::pidfd(std::process::id()) {
        let without = "a process is signalled by its number, right after it was looked at";
        return Finding::missing(name, format!("pidfd_open: {error} (Linux 5.3 has it)"), without);
    }
    let sent = Handle::of(std::process::id()).map_or(Err(Errno::ESRCH), |handle| handle.send_by_descriptor(0));
    match sent {
        Ok(()) => Finding::ok(name, "a process is held by a handle, not by its number"),
        Err(errno) => Finding::weaker(
            name,
            format!("pidfd_send_signal: {}", errno.desc()),
            "a process is held by a handle, but signalled by its number, right after it was looked at",
        ),
    }
}

pub(super) fn exit_codes() -> Finding {
    let name = "exit-codes";
    match code_of_a_child() {
        Ok(Some(status)) if status == CODE << 8 => Finding::ok(name, "a handle tells how its process ended"),
        other => Finding::weaker(
            name,
            match other {
                Err(error) => format!("could not be tried: {error}"),
                Ok(_) => "a handle does not tell how its process ended (Linux 6.15 does)".to_owned(),
            },
            "of a service whose shim was killed, the exit code is not always known",
        ),
    }
}

/// The exit code that a handle reports after our child has exited and was reaped.
fn code_of_a_child() -> nix::Result<Option<i32>> {
    let (pid, handle) = child(None, |_| CODE)?;
    waitpid(pid, None)?;
    Ok(handle.and_then(|handle| end::of_reaped(handle.fd()?)))
}

pub(super) fn sock_diag() -> Finding {
    let name = "sock-diag";
    match crate::net::can_ask() {
        Ok(()) => Finding::ok(name, "the kernel tells who listens (netlink)"),
        Err(error) => Finding::weaker(
            name,
            format!("netlink: {error}"),
            "who listens is read from /proc/net/tcp, which takes milliseconds at each start on a large machine",
        ),
    }
}

/// Forks a child, into a cgroup if one is given. It runs only `work` and exits with its result; `work` gets whether the
/// kernel put the child into the cgroup at its start, and may make only system calls.
pub(super) fn child(cgroup: Option<i32>, work: fn(bool) -> i32) -> nix::Result<(Pid, Option<Handle>)> {
    // SAFETY: the child takes no lock and no memory: it makes a few system calls and exits with `_exit`.
    match unsafe { sys::fork_into(cgroup) }? {
        Forked::Child { entered } => sys::exit_now(work(entered)),
        Forked::Parent(pid) => Ok((Pid::from_raw(i32::try_from(pid).unwrap_or(0)), Handle::of(pid))),
    }
}
