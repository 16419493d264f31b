//! `core precompress` (hidden): makes the compressed copies of files that the edge serves, in a process of its own.

use core_host::releases;

use crate::cli::PrecompressArgs;
use crate::exit::Exit;
use crate::render;

pub(crate) fn run(args: &PrecompressArgs) -> Exit {
    match releases::precompress(&args.folder) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            render::error(&format!("{}: {error}", args.folder.display()));
            Exit::Failed
        }
    }
}
