//! `core down`

use std::time::Duration;

use core_host::client::ClientError;
use core_host::keeper::Keeper;
use core_host::last_resort;
use core_host::paths::Paths;
use tokio::time::{Instant, timeout};

use super::{begin, tell, wait_for};
use crate::cli::DownArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// How long a keeper may take to exit once its stack has stopped.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a supervisor may be absent before the stack is stopped without it.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(3);
/// How long a stop may take if the supervisor does not report a limit.
const UNTOLD: Duration = Duration::from_secs(120);
/// Added to the limit that the supervisor reported.
const GRACE: Duration = Duration::from_secs(2);

pub(crate) async fn run(context: &Context, args: &DownArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    end(&paths, args.kill).await
}

/// Stops the stack through its supervisor, or without it if that does not answer or does not finish.
pub(crate) async fn end(paths: &Paths, kill: bool) -> Exit {
    match by_supervisor(paths, kill).await {
        Ok(()) => tell_left(&last_resort::sweep(paths)),
        Err(Without::Refused(error)) => tell(&error),
        Err(Without::Going(why)) => {
            if let Some(why) = why {
                render::note(&format!("{why}; ending the stack without it"));
            }
            tell_left(&last_resort::end(paths, kill).await.left)
        }
    }
}

/// Reports the processes that could not be stopped.
fn tell_left(left: &[String]) -> Exit {
    if left.is_empty() {
        return Exit::Ok;
    }
    render::error(&format!("could not be ended: {}", left.join(", ")));
    Exit::Failed
}

/// Why the supervisor did not stop the stack.
enum Without {
    /// It refused.
    Refused(ClientError),
    /// It did not answer or did not finish; the text is worth telling the user.
    Going(Option<&'static str>),
}

async fn by_supervisor(paths: &Paths, kill: bool) -> Result<(), Without> {
    // A keeper removes its file before it exits, so its process has to be known before it is asked to.
    let keeper = Keeper::living(&paths.run);
    let verb = if kill { "kill" } else { "down" };
    let patience = Instant::now() + SUPERVISOR_PATIENCE;
    loop {
        match begin(paths, verb, &()).await {
            Ok(accepted) => {
                let told = accepted.within_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                // If the connection breaks before the answer, the stack has stopped.
                match timeout(told.unwrap_or(UNTOLD) + GRACE, wait_for(paths, accepted.operation)).await {
                    Ok(Err(ClientError::Silent)) => return Err(Without::Going(Some("the supervisor does not answer"))),
                    Ok(_) => break,
                    Err(_) => return Err(Without::Going(Some("the supervisor does not get it done in time"))),
                }
            }
            Err(ClientError::Refused(failure)) if failure.code == "ending" => break,
            Err(error @ ClientError::Refused(_)) => return Err(Without::Refused(error)),
            Err(ClientError::Silent) => return Err(Without::Going(Some("the supervisor does not answer"))),
            // The keeper restarts a dead supervisor at once; only if that does not help, continue without it.
            Err(_) if last_resort::keeper_lives(paths) && Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(_) => return Err(Without::Going(None)),
        }
    }
    let until = Instant::now() + KEEPER_PATIENCE;
    while last_resort::keeper_lives(paths) || keeper.as_ref().is_some_and(|(_, handle)| handle.lives()) {
        if Instant::now() > until {
            return Err(Without::Going(Some("the keeper does not end")));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
