//! `core serve-files` (hidden): serves the files of a static export, as the process of its service.

use core_host::releases;

use crate::cli::ServeFilesArgs;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(args: &ServeFilesArgs) -> Exit {
    match releases::serve(&args.release, args.port).await {
        Ok(()) => Exit::Ok,
        Err(error) => {
            render::error(&format!("{}: {error}", args.release.display()));
            Exit::Failed
        }
    }
}
