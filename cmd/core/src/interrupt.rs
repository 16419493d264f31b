//! Requests to stop: by a key, by a terminal that closes, by another program.

use std::task::Poll;

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a command to stop.
pub(crate) struct Interrupt(Vec<(SignalKind, Signal)>);

impl Interrupt {
    /// Receives the signals from now on, instead of being killed by them. A signal that was ignored at the start stays
    /// ignored: nohup(1) relies on that, and so do shells for background jobs.
    ///
    /// # Errors
    /// The error of the system call.
    pub(crate) fn new() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let heeded = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
        heeded.map(|kind| Ok((kind, signal(kind)?))).collect::<Result<_, _>>().map(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> SignalKind {
        std::future::poll_fn(|context| {
            let mut all = self.0.iter_mut();
            let came = all.find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether a signal is ignored by this process.
fn is_ignored(number: i32) -> bool {
    // SAFETY: all zeros is a valid value of the structure, and the kernel only writes to it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, writable value, and a null action changes nothing.
    let asked = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
