//! `core logs --build`: the log of the last build.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use core_host::harmless::harmless_line;
use core_host::paths::Paths;

use super::ask_progress;
use crate::cli::LogsArgs;
use crate::exit::Exit;
use crate::render;

/// How often a log is looked at that is followed.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(paths: &Paths, args: &LogsArgs) -> Exit {
    let mut all = Vec::new();
    let top = paths.logs().join("builds");
    match args.services.as_slice() {
        [] => find(&top, &mut all),
        services => services.iter().for_each(|service| find(&top.join(service), &mut all)),
    }
    let Some((_, path)) = all.into_iter().max() else {
        render::error("there is no log of a build");
        return Exit::Failed;
    };
    render::note(&paths.shown(&path));
    let mut shown = 0;
    loop {
        // Before it is read, so that nothing is missed that was written before the end.
        let is_building = args.follow && ask_progress(paths).await.is_ok_and(|status| !status.jobs.is_empty());
        match print(&path, shown) {
            Ok(length) => shown = length,
            Err(error) => {
                render::error(&format!("{}: {error}", path.display()));
                return Exit::Failed;
            }
        }
        if !is_building {
            return Exit::Ok;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// All logs below a folder, with the time of the last change.
fn find(folder: &Path, all: &mut Vec<(SystemTime, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => find(&entry.path(), all),
            Ok(meta) => all.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path())),
            Err(_) => {}
        }
    }
}

/// Prints whole lines of a file from an offset on. Returns the offset of what is left.
fn print(path: &Path, from: u64) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
        render::line(&harmless_line(line));
    }
    Ok(from + whole as u64)
}
