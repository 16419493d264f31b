//! `core down`

use std::time::Duration;

use core_host::client::ClientError;
use core_host::last_resort;
use core_host::paths::Paths;

use super::{begin, tell, wait_for};
use crate::cli::DownArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// How long a keeper that has nothing to keep may take to go.
const KEEPER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a supervisor may be absent before it is done without one.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn run(context: &Context, args: &DownArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    end(&paths, args.kill).await
}

/// Ends the stack, by its supervisor where one answers, else without.
pub(crate) async fn end(paths: &Paths, kill: bool) -> Exit {
    let verb = if kill { "kill" } else { "down" };
    let patience = tokio::time::Instant::now() + SUPERVISOR_PATIENCE;
    loop {
        match begin(paths, verb, &()).await {
            Ok(operation) => {
                // When the line breaks before the answer, the stack has ended.
                let _ = wait_for(paths, operation).await;
                break;
            }
            Err(ClientError::Refused(failure)) if failure.code == "ending" => break,
            Err(error @ ClientError::Refused(_)) => return tell(&error),
            // One that died is started again at once; only when that does not help, it is done without.
            Err(_) if last_resort::keeper_lives(paths) && tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(_) => {
                let ended = last_resort::end(paths, kill).await;
                return if ended.left.is_empty() { Exit::Ok } else { tell_left(&ended.left) };
            }
        }
    }
    let until = tokio::time::Instant::now() + KEEPER_PATIENCE;
    while last_resort::keeper_lives(paths) {
        if tokio::time::Instant::now() > until {
            render::error("the keeper does not end; see .core-stack/core.log");
            return Exit::Failed;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let left = last_resort::sweep(paths);
    if left.is_empty() { Exit::Ok } else { tell_left(&left) }
}

fn tell_left(left: &[String]) -> Exit {
    render::error(&format!("could not be ended: {}", left.join(", ")));
    Exit::Failed
}
