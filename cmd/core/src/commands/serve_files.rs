//! `core serve-files` (hidden): serves the files of a static export, as the process of its service.

use core_host::static_files;

use crate::cli::ServeFilesArgs;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(args: &ServeFilesArgs) -> Exit {
    match static_files::serve(&args.folder, &args.base, args.port).await {
        Ok(()) => Exit::Ok,
        Err(error) => {
            render::error(&format!("{}: {error}", args.folder.display()));
            Exit::Failed
        }
    }
}
