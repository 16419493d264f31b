//! `core cache`

use core_host::releases;

use super::{build, here};
use crate::cli::{CacheArgs, CacheCommand, PurgeArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(context: &Context, args: &CacheArgs) -> Exit {
    let CacheCommand::Purge(args) = &args.command;
    purge(context, args).await.unwrap_or_else(|exit| exit)
}

/// Forgets entries, by a program of the release that knows where they are, as the user of the service.
async fn purge(context: &Context, args: &PurgeArgs) -> Result<Exit, Exit> {
    let paths = context.paths()?;
    let stack = context.load_to_run(&paths)?;
    let usage = |message: String| {
        render::error(&message);
        Exit::Usage
    };
    let (service, _) = build::wanted(&stack, args.service.as_deref()).map_err(usage)?;
    let Some(spec) = stack.topology.services.get(&service) else { return Ok(Exit::Usage) };
    let program = releases::purge();
    if !releases::folder(&paths, spec).is_some_and(|app| app.join(&program).is_file()) {
        render::error(&format!("the release of {service} has no cache of core"));
        render::help("its app has a cacheHandler of its own, or it was built by an earlier version: `core deploy`");
        return Ok(Exit::Failed);
    }
    let words = ["node".to_owned(), program].into_iter().chain(args.what.iter().cloned());
    Ok(here::run(&paths, &stack, spec, Some(&words.collect::<Vec<_>>())).await)
}
