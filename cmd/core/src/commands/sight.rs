//! Waiting for an operation in sight of whoever waits: what it waits for is shown.

use std::time::Duration;

use core_engine::engine::OperationState;
use core_host::api::OperationStatus;
use core_host::client::ClientError;
use core_host::paths::Paths;
use tokio::time::Instant;

use super::{ask_operation, ask_progress};
use crate::render::note;
use crate::render::progress::Progress;

/// How long progress stands as it is shown, at least.
const PAUSE: Duration = Duration::from_millis(100);

/// How one waits.
pub(crate) struct Sight {
    /// What takes longer than this is shown.
    pub(crate) quiet: Duration,
    /// How long the end is waited for; downloads and builds are not counted.
    pub(crate) most: Duration,
    /// For how long it may be that the supervisor does not answer: hundreds of programs that start at once leave it little
    /// of the processor.
    pub(crate) silence: Duration,
}

/// Waits until an operation has ended. `None` when time is over.
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
                // What is fetched or built takes as long as it takes.
                if !status.jobs.is_empty() {
                    most = most.saturating_add(turn.elapsed());
                }
            }
            // To show a thousand services is work for the supervisor, which has better things to do now.
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
