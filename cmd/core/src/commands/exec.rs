//! `core exec`

use core_manifest::ServiceName;

use super::{here, tell_unknown};
use crate::cli::ExecArgs;
use crate::context::Context;
use crate::exit::Exit;

pub(crate) async fn run(context: &Context, args: &ExecArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let stack = match context.load_to_run(&paths) {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    match stack.topology.services.get(args.service.as_str()).cloned() {
        Some(spec) => here::run(&paths, &stack, &spec, Some(&args.command)).await,
        None => tell_unknown(&args.service, stack.topology.services.keys().map(ServiceName::as_str)),
    }
}
