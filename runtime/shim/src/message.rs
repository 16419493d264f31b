//! Messages on a unix socket: bytes, with descriptors and the credentials of the sender.
//!
//! This calls the kernel directly: if a message carries more than there is room or descriptors for, the library returns
//! an error and leaves open what was received.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// The most descriptors that the kernel passes with one message (`SCM_MAX_FD`).
pub const MOST_FDS: usize = 253;
/// Room for control messages: descriptors and credentials, with their headers. A multiple of eight.
const ROOM: usize = 1 << 11;

/// One received message.
#[derive(Debug, Default)]
pub struct Message {
    /// Number of bytes received.
    pub bytes: usize,
    /// Descriptors that came with them (close-on-exec).
    pub fds: Vec<OwnedFd>,
    /// PID of the sender, if the socket was set to report it.
    pub sender: Option<u32>,
}

/// Memory in which the headers of control messages are aligned.
#[repr(C, align(8))]
struct Room([MaybeUninit<u8>; ROOM]);

/// Receives bytes into `buffer`, with the control messages that belong to them.
///
/// # Errors
/// The error of the kernel, including `EAGAIN`.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Message, Errno> {
    let mut room = Room([const { MaybeUninit::uninit() }; ROOM]);
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid header: no name, no slices, no room.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    header.msg_control = room.0.as_mut_ptr().cast();
    header.msg_controllen = ROOM as _;
    // SAFETY: the pointers in the header are to live, writable memory of the given lengths.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let bytes = usize::try_from(Errno::result(count)?).unwrap_or(0);
    let mut message = Message { bytes, ..Message::default() };
    // SAFETY: the kernel has filled in the header, and as much of the room as the header says.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !control.is_null() {
        // SAFETY: it is not null, so it points to a whole header within the room; its data follows.
        let (head, data) = unsafe { (control.read(), libc::CMSG_DATA(control)) };
        // SAFETY: as above.
        let before = unsafe { libc::CMSG_LEN(0) } as usize;
        let length = head.cmsg_len.saturating_sub(before);
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for at in 0..length / size_of::<RawFd>() {
                    // SAFETY: this many numbers were received, each a descriptor that the kernel has just created for
                    // this process, and nothing else owns it.
                    message.fds.push(unsafe {
                        OwnedFd::from_raw_fd(RawFd::from_ne_bytes(
                            data.add(at * size_of::<RawFd>()).cast::<[u8; 4]>().read(),
                        ))
                    });
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                // SAFETY: the whole structure was received.
                let sender = unsafe { std::ptr::read_unaligned(data.cast::<libc::ucred>()) };
                message.sender = u32::try_from(sender.pid).ok();
            }
            _ => {}
        }
        // SAFETY: the header and the memory it points to are as the kernel has left them.
        control = unsafe { libc::CMSG_NXTHDR(&raw const header, control) };
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, setsockopt, socketpair, sockopt,
    };

    use super::*;

    /// Number of descriptors that this process has open.
    fn open() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Runs in a separate process, because it counts descriptors and lowers its own limit.
    #[test]
    fn whatever_comes_is_taken_in_or_closed() {
        // SAFETY: the child only makes system calls and small allocations, and exits with `_exit`.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
            nix::unistd::ForkResult::Child => {
                let is_well = std::panic::catch_unwind(|| {
                    let (ours, theirs) =
                        socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC).unwrap();
                    setsockopt(&ours, sockopt::PassCred, &true).unwrap();
                    let null = std::fs::File::open("/dev/null").unwrap();
                    let send = |count: usize| {
                        let fds = vec![null.as_raw_fd(); count];
                        let slices = [std::io::IoSlice::new(b"x")];
                        let rights = [ControlMessage::ScmRights(&fds)];
                        sendmsg::<()>(theirs.as_raw_fd(), &slices, &rights, MsgFlags::empty(), None).unwrap();
                    };
                    let mut buffer = [0; 8];
                    let before = open();
                    send(MOST_FDS);
                    let message = receive(ours.as_fd(), &mut buffer).unwrap();
                    assert_eq!((message.bytes, message.fds.len()), (1, MOST_FDS));
                    assert_eq!(message.sender, Some(std::process::id()));
                    drop(message);
                    assert_eq!(open(), before);
                    // Fewer descriptors are left than arrive.
                    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
                    setrlimit(Resource::RLIMIT_NOFILE, before as u64 + 20, hard).unwrap();
                    send(MOST_FDS);
                    let message = receive(ours.as_fd(), &mut buffer).unwrap();
                    assert!(message.bytes == 1 && message.fds.len() < 30, "{message:?}");
                    drop(message);
                    assert_eq!(open(), before);
                })
                .is_ok();
                // SAFETY: no code of the test harness may run in the child.
                unsafe { libc::_exit(i32::from(!is_well)) };
            }
        }
    }
}
