//! Waits for an operation, and shows its progress meanwhile.

use std::time::Duration;

use core_engine::engine::OperationState;
use core_host::api::OperationStatus;
use core_host::client::ClientError;
use core_host::paths::Paths;
use serde::Serialize;
use tokio::time::Instant;

use super::{ask_operation, ask_progress, begin, tell, tell_failure};
use crate::exit::Exit;
use crate::render::progress::Progress;
use crate::render::{self, note};

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

/// How something ended that was asked for. What went wrong was said.
pub(crate) enum Ended {
    Done,
    Failed(Exit),
    /// Nobody waits for it any longer, and it goes on.
    GoesOn(Exit),
}

/// Asks for an operation and waits for it, with its progress, for so many seconds; `aside` says what does not count.
pub(crate) async fn carry_out(paths: &Paths, verb: &str, body: &impl Serialize, seconds: f64, aside: &str) -> Ended {
    let most = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let accepted = match begin(paths, verb, body).await {
        Ok(accepted) => accepted,
        Err(error) => return Ended::Failed(tell(&error)),
    };
    let sight = Sight { quiet: Duration::ZERO, most, silence: Duration::ZERO };
    match wait(paths, accepted.operation, &sight).await {
        Ok(Some(OperationStatus { status: OperationState::Failed { message, .. }, last_lines, .. })) => {
            tell_failure(&message, &last_lines);
            Ended::Failed(Exit::Failed)
        }
        Ok(Some(_)) => Ended::Done,
        Ok(None) => {
            render::error(&format!("not done within {seconds} s{aside}"));
            render::help("it goes on: `core status` shows it, `core history` how it ends");
            Ended::GoesOn(Exit::Failed)
        }
        Err(error) => Ended::GoesOn(tell(&error)),
    }
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
