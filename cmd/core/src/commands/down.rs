//! `core down`

use std::time::Duration;

use core_host::client::ClientError;
use core_host::last_resort;
use core_host::paths::Paths;
use tokio::time::{Instant, timeout};

use super::{begin, tell, wait_for};
use crate::cli::DownArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// How long a keeper that has nothing to keep may take to go.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a supervisor may be absent before it is done without one.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(3);
/// How long the end may take where the supervisor does not say.
const UNTOLD: Duration = Duration::from_secs(120);
/// What an end gets beyond the time that was said.
const GRACE: Duration = Duration::from_secs(2);

pub(crate) async fn run(context: &Context, args: &DownArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    end(&paths, args.kill).await
}

/// Ends the stack, by its supervisor where one answers and gets it done, else without.
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

/// What could not be ended, if anything.
fn tell_left(left: &[String]) -> Exit {
    if left.is_empty() {
        return Exit::Ok;
    }
    render::error(&format!("could not be ended: {}", left.join(", ")));
    Exit::Failed
}

/// Why the supervisor did not end the stack.
enum Without {
    /// It would not.
    Refused(ClientError),
    /// It could not; and what is worth to be said of that.
    Going(Option<&'static str>),
}

async fn by_supervisor(paths: &Paths, kill: bool) -> Result<(), Without> {
    let verb = if kill { "kill" } else { "down" };
    let patience = Instant::now() + SUPERVISOR_PATIENCE;
    loop {
        match begin(paths, verb, &()).await {
            Ok(accepted) => {
                let told = accepted.within_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                // When the line breaks before the answer, the stack has ended.
                match timeout(told.unwrap_or(UNTOLD) + GRACE, wait_for(paths, accepted.operation)).await {
                    Ok(Err(ClientError::Silent)) => return Err(Without::Going(Some("the supervisor does not answer"))),
                    Ok(_) => break,
                    Err(_) => return Err(Without::Going(Some("the supervisor does not get it done in time"))),
                }
            }
            Err(ClientError::Refused(failure)) if failure.code == "ending" => break,
            Err(error @ ClientError::Refused(_)) => return Err(Without::Refused(error)),
            Err(ClientError::Silent) => return Err(Without::Going(Some("the supervisor does not answer"))),
            // One that died is started again at once; only when that does not help, it is done without.
            Err(_) if last_resort::keeper_lives(paths) && Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(_) => return Err(Without::Going(None)),
        }
    }
    let until = Instant::now() + KEEPER_PATIENCE;
    while last_resort::keeper_lives(paths) {
        if Instant::now() > until {
            return Err(Without::Going(Some("the keeper does not end")));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
