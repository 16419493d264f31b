//! `core lock`

use core_host::binaries::{self, LockFile, Progress};
use core_manifest::name;
use core_stack::Wanted;

use crate::cli::LockArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, BOLD, DIM, styled};

pub(crate) async fn run(context: &Context, args: &LockArgs) -> Exit {
    let loaded = context.paths().and_then(|paths| context.load_to_run(&paths).map(|stack| (paths, stack)));
    let (paths, stack) = match loaded {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    // The name of a build is a hash of its inputs, so a lock would add nothing.
    let fetched: Vec<(&String, &Wanted)> =
        stack.wanted.iter().filter(|(_, wanted)| !wanted.source.is_built()).collect();
    let known: Vec<&str> = fetched.iter().map(|(_, wanted)| wanted.binary.as_str()).collect();
    if let Some(unknown) = args.names.iter().find(|name| !known.contains(&name.as_str())) {
        render::error(&format!("no binary `{unknown}` is fetched here"));
        match name::nearest(unknown, known.iter().copied()) {
            Some(guess) => render::help(&format!("did you mean `{guess}`?")),
            None => render::help(&format!("fetched are: {}", known.join(", "))),
        }
        return Exit::Usage;
    }
    let mut exit = Exit::Ok;
    for (folder, wanted) in fetched {
        if !args.names.is_empty() && !args.names.contains(&wanted.binary) {
            continue;
        }
        let progress = Progress::default();
        let locked = || LockFile::read(&paths.dep_lock()).map(|lock| lock.entry(&wanted.binary).cloned());
        let tool = binaries::prepare_tool(&paths, &stack.wanted, wanted, &progress).await;
        let result = if let Err(error) = tool {
            Err(error.why)
        } else if args.update {
            binaries::relock(&paths, folder, wanted, &progress).await
        } else {
            binaries::prepare(&paths, folder, wanted, &progress)
                .await
                .map_err(|error| error.why)
                .and_then(|()| locked())
        };
        match result {
            Ok(Some(entry)) => {
                let file = styled(DIM, &format!("{}  sha256 {}", entry.file, entry.sha256));
                render::line(&format!("{} {} {file}", styled(BOLD, &wanted.binary), entry.version));
            }
            Ok(None) => render::line(&format!("{} is not locked", styled(BOLD, &wanted.binary))),
            Err(error) => {
                render::error(&format!("{}: {}", wanted.binary, stack.hidden.cover(&error)));
                exit = Exit::Failed;
            }
        }
    }
    exit
}
