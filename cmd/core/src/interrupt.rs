//! Being asked to end: by a key, by a terminal that closes, by another program.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean: enough.
pub(crate) struct Interrupt([Signal; 3]);

impl Interrupt {
    /// Waits for them from now on, instead of being ended by them.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
