//! Waits for an operation, and shows its progress meanwhile.

use std::time::Duration;

use core_engine::engine::OperationState;
use core_host::api::OperationStatus;
use core_host::client::ClientError;
use core_host::paths::Paths;
use tokio::time::Instant;

use super::{ask_operation, ask_progress};
use crate::render::note;
use crate::render::progress::Progress;

/// The shortest time between two updates of the progress.
const PAUSE: Duration = Duration::from_millis(100);

/// How to wait.
pub(crate) struct Sight {
    /// Progress is shown once the operation takes longer than this.
    pub(crate) quiet: Duration,
    /// How long to wait, not counting downloads and builds.
    pub(crate) most: Duration,
    /// How long the supervisor may fail to answer: while it starts hundreds of programs at once, it gets little CPU
    /// time.
    pub(crate) silence: Duration,
}

/// Waits until an operation has ended. Returns `None` if the time is up.
pub(crate) async fn wait(paths: &Paths, operation: u64, sight: &Sight) -> Result<Option<OperationStatus>, ClientError> {
    let (began, mut most) = (Instant::now(), sight.most);
    let (mut progress, mut pause) = (None, PAUSE);
    let ended = loop {
        let turn = Instant::now();
        let left = most.saturating_sub(began.elapsed());
        let asked = ask_operation(paths, operation, pause.min(left).as_secs_f64()).await;
        if began.elapsed() >= sight.quiet {
            let asking = Instant::now();
            if let Ok(status) = ask_progress(paths).await {
                progress.get_or_insert_with(Progress::new).show(&status);
                // Downloads and builds do not count.
                if !status.jobs.is_empty() {
                    most = most.saturating_add(turn.elapsed());
                }
            }
            // Reporting a thousand services costs the supervisor time that it needs to start them.
            pause = PAUSE.max(20 * asking.elapsed());
        }
        match asked {
            Ok(status) => {
                for text in &status.announcements {
                    progress.as_ref().map_or_else(|| note(text), |progress| progress.announce(text));
                }
                if status.status != OperationState::Running {
                    break Ok(Some(status));
                }
            }
            Err(ClientError::Silent) if began.elapsed() < sight.silence => {}
            Err(error) => break Err(error),
        }
        if began.elapsed() >= most {
            break Ok(None);
        }
    };
    if let Some(progress) = progress {
        progress.end();
    }
    ended
}
