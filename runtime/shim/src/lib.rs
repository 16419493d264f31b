//! The small processes that look after services.
//!
//! The **keeper**, one per stack, is the parent of every shim and of the supervisor. The **shim**, one per instance,
//! is the parent of the service. Both come from one small program that is forked, not executed, once it runs: 200 shims
//! cost 200 forks. Neither of them makes decisions, so little can go wrong in them. Whichever process of core dies, the
//! service keeps a parent, a reader for its output, and a witness for its exit.
//!
//! - [`wire`]: the protocol between them and the supervisor.
//! - [`place`], [`record`]: the files in the run folder of an instance.
//! - [`keeper`], [`shim`]: the two processes.
//! - [`pump`], `segment`: output into log segments.
//! - [`tree`], [`handle`], [`cgroup`], [`guard`]: the processes of an instance, and the guards against a second copy.

pub mod cgroup;
pub mod end;
pub mod exec;
pub mod folder;
pub mod guard;
pub mod handle;
pub mod inherited;
pub mod keeper;
pub mod landlock;
pub mod limits;
pub mod memory;
pub mod message;
pub mod place;
pub mod pump;
pub mod record;
mod segment;
pub mod shim;
pub mod sys;
pub mod tree;
pub mod wire;

use std::ffi::OsString;
use std::path::PathBuf;

/// The name of the program, by which `core` detects that it was called as keeper.
pub const NAME: &str = "core-shim";

/// The first descriptor that a keeper does not need when it starts.
const FIRST_INHERITED: i32 = 3;

/// `core-shim --run DIR --cgroup NAME --log FILE -- SUPERVISOR ARG…`: the keeper of a stack. Returns its exit code.
///
/// Only the supervisor has a reason to start it.
pub fn main() -> i32 {
    inherited::narrow();
    // Whatever the caller of `core up -d` had open (a lock, a pipe) must not stay open because of the keeper.
    sys::close_from(FIRST_INHERITED);
    // A panic must not unwind into a half-forked process.
    std::panic::set_hook(Box::new(|info| {
        let text = format!("core-shim: {info}\n");
        let _ = nix::unistd::write(std::io::stderr(), text.as_bytes());
        std::process::abort();
    }));
    match parse(std::env::args_os().skip(1)) {
        Ok((settings, log)) => {
            if let Err(error) = keeper::redirect(&log) {
                return complain(&format!("{}: {error}", log.display()));
            }
            match keeper::run(settings) {
                Ok(code) => code,
                Err(message) => complain(&message),
            }
        }
        Err(message) => {
            complain(&format!("{message}\nusage: core-shim --run DIR --cgroup NAME --log FILE -- SUPERVISOR ARG…"));
            2
        }
    }
}

fn complain(message: &str) -> i32 {
    let _ = nix::unistd::write(std::io::stderr(), format!("core-shim: {message}\n").as_bytes());
    1
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<(keeper::Settings, PathBuf), String> {
    let (mut run, mut cgroup, mut log) = (None, None, None);
    while let Some(word) = args.next() {
        let slot = match word.to_str() {
            Some("--run") => &mut run,
            Some("--cgroup") => &mut cgroup,
            Some("--log") => &mut log,
            Some("--") => break,
            _ => return Err(format!("no such option: {}", word.display())),
        };
        *slot = Some(args.next().ok_or_else(|| format!("{} needs a value", word.display()))?);
    }
    let supervisor: Vec<OsString> = args.collect();
    let (Some(run), Some(cgroup), Some(log)) = (run, cgroup, log) else { return Err("an option is missing".into()) };
    if supervisor.is_empty() {
        return Err("no supervisor is named".into());
    }
    let cgroup = cgroup.into_string().map_err(|_| "the cgroup's name is no text")?;
    Ok((keeper::Settings { run: run.into(), cgroup, supervisor }, log.into()))
}
