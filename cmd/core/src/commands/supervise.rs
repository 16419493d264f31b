//! `core supervise` (hidden): the supervisor, which the keeper starts.

use std::time::Duration;

use core_host::launch::Launch;
use core_host::own_log;
use core_host::paths::Paths;

use crate::cli::SuperviseArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// How long writing the last lines of the log may take.
const LAST_LINES: Duration = Duration::from_millis(300);

pub(crate) async fn run(context: &Context, args: SuperviseArgs) -> Exit {
    let opened = context.paths().and_then(|paths| {
        Paths::open(&paths.root).map_err(|error| {
            render::error(&format!("{}: {error}", paths.root.display()));
            Exit::Failed
        })
    });
    let paths = match opened {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let launch = Launch {
        profile: context.asked_profile(),
        services: args.services,
        no_watch: args.no_watch,
        number: args.launch,
    };
    let ended = core_host::supervise(paths, launch).await;
    own_log::flush(LAST_LINES);
    match ended {
        Ok(code) => Exit::Code(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            render::error(&error.to_string());
            Exit::Failed
        }
    }
}
