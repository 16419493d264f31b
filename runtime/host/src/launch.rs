//! The start of a stack: a keeper of its own session, which starts the supervisor.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::api::Program;
use crate::keeper::Keeper;
use crate::own_log;
use crate::paths::Paths;

/// Settings of the C library, by which it does not keep freed memory apart for each thread. Keeper and shims have one
/// thread and the supervisor one that matters, and what they free would lie scattered over pages that stay theirs:
/// a quarter of all that a shim has.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
/// What stood in its place, for the services.
const TUNABLES_BEFORE: &str = "CORE_GLIBC_TUNABLES";

/// What a process was executed from, for itself.
const OWN_IMAGE: &str = "/proc/self/exe";

/// How a supervisor is started.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The profile.
    pub profile: Option<String>,
    /// The services that were asked for by name.
    pub services: Vec<String>,
    /// Edits wait for `core apply`, whatever the profile says.
    pub no_watch: bool,
}

/// Starts the keeper of a stack; it outlives us. Whoever stays may wait for it: it ends with the code of the stack.
///
/// # Errors
/// When one of our own programs is missing, or cannot be executed.
pub fn start_keeper(paths: &Paths, launch: &Launch) -> io::Result<Child> {
    let core = own_program()?;
    // Without its file there is still what the kernel runs; as keeper it is its supervisor's program, too.
    let (core, shim) =
        if core.is_file() { (core.clone(), shim_beside(&core)) } else { (OWN_IMAGE.into(), OWN_IMAGE.into()) };
    let log = paths.own_log();
    if fs::metadata(&log).is_ok_and(|meta| meta.len() > own_log::LONGEST) {
        fs::rename(&log, log.with_extension("log.before"))?;
    }
    let mut command = Command::new(shim);
    command.arg0(core_shim::NAME);
    command.arg("--run").arg(&paths.run).arg("--cgroup").arg(paths.cgroup()).arg("--log").arg(&log).arg("--");
    command.arg(&core).args(supervisor_args(paths, launch));
    let (name, value) = TUNABLES;
    let before = std::env::var_os(name).unwrap_or_default();
    let value = if before.is_empty() { value.into() } else { [before.as_os_str(), value.as_ref()].join(":".as_ref()) };
    command.env(name, value).env(TUNABLES_BEFORE, before);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    crate::descriptors::as_before(&mut command);
    // A session of its own: no terminal, no hang-up, no Ctrl-C of ours.
    let detach = || {
        core_shim::inherited::restore();
        nix::unistd::setsid().map(drop).map_err(io::Error::from)
    };
    // SAFETY: nothing but system calls is done between fork and exec.
    unsafe { command.pre_exec(detach) };
    // Its parent becomes whoever reaps orphans, when we go.
    command.spawn()
}

/// Takes out of the environment of a supervisor what was put there for its C library: services, and programs that
/// fetch and build, have what `core up` had.
///
/// # Safety
/// The process has one thread.
pub unsafe fn restore_environment() {
    let Some(before) = std::env::var_os(TUNABLES_BEFORE) else { return };
    // SAFETY: the caller has one thread, so nobody reads the environment meanwhile.
    unsafe {
        std::env::remove_var(TUNABLES_BEFORE);
        if before.is_empty() { std::env::remove_var(TUNABLES.0) } else { std::env::set_var(TUNABLES.0, before) }
    }
}

fn supervisor_args(paths: &Paths, launch: &Launch) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["supervise".into(), "--root".into(), paths.root.clone().into()];
    if let Some(profile) = &launch.profile {
        args.extend(["--profile".into(), profile.into()]);
    }
    if launch.no_watch {
        args.push("--no-watch".into());
    }
    for service in &launch.services {
        args.extend(["--service".into(), service.into()]);
    }
    args
}

/// The program that we are, or what was put in its place: after an upgrade the kernel says that ours is deleted.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe().map(|program| in_place_of(&program))
}

/// The program that we are, as others are told of it.
pub(crate) fn running_program() -> Option<Program> {
    let program = std::env::current_exe().ok()?;
    let place = in_place_of(&program);
    Some(Program { deleted: place != program, path: place.display().to_string() })
}

/// How the supervisor of a stack was started, as far as its keeper's command line says.
pub fn of_keeper(paths: &Paths) -> Launch {
    let keeper = Keeper::read(&paths.run);
    let line = keeper.and_then(|keeper| fs::read(format!("/proc/{}/cmdline", keeper.pid)).ok()).unwrap_or_default();
    let no_watch = line.split(|byte| *byte == 0).any(|word| word == b"--no-watch");
    Launch { no_watch, ..Launch::default() }
}

fn in_place_of(program: &Path) -> PathBuf {
    let name = program.as_os_str().as_bytes();
    name.strip_suffix(b" (deleted)").map_or(program, |name| Path::new(OsStr::from_bytes(name))).to_owned()
}

/// The program that is keeper and shim: the small one beside `core`, else `core` itself, which is the same when it is
/// called by that name. So one copied file is an installation.
pub(crate) fn shim_beside(core: &Path) -> PathBuf {
    let shim = core.with_file_name(core_shim::NAME);
    if shim.is_file() { shim } else { core.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_started_from_its_place() {
        assert_eq!(in_place_of(Path::new("/usr/lib/core/core (deleted)")), Path::new("/usr/lib/core/core"));
        assert_eq!(in_place_of(Path::new("/usr/lib/core/core")), Path::new("/usr/lib/core/core"));
    }
}
