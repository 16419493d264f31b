//! Starts a stack: a keeper in its own session, which starts the supervisor.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::api::Program;
use crate::keeper::Keeper;
use crate::own::{in_place_of, own_program};
use crate::own_log;
use crate::paths::Paths;

/// A setting of the C library that turns off its per-thread caches of freed memory. Keeper and shims have one thread
/// and the supervisor one that matters; the caches would scatter freed memory over pages that are never returned: a
/// quarter of a shim's memory.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
/// Keeps the original value, for the services.
const TUNABLES_BEFORE: &str = "CORE_GLIBC_TUNABLES";

/// The executable file of this process.
const OWN_IMAGE: &str = "/proc/self/exe";

/// How a supervisor is started.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The profile, if one was chosen.
    pub profile: Option<String>,
    /// The services that were asked for by name.
    pub services: Vec<String>,
    /// Whether edits wait for `core apply`, whatever the profile says.
    pub no_watch: bool,
    /// Which `core up` asked for it: the supervisors that follow each other under one launch share it. 0 for a keeper
    /// from before there were such numbers.
    pub number: u64,
}

/// The number of a new launch.
pub fn number() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Two within a nanosecond are one: the second finds the keeper of the first.
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

/// Starts the keeper of a stack; it outlives this process. It exits with the exit code of the stack.
///
/// # Errors
/// One of core's own programs is missing, or cannot be executed.
pub fn start_keeper(paths: &Paths, launch: &Launch) -> io::Result<Child> {
    let core = own_program()?;
    // If the file is gone, use the image that the kernel runs; the keeper starts its supervisor from it too.
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
    // Its own session: no terminal, and no SIGHUP or Ctrl-C of ours.
    let detach = || {
        core_shim::inherited::restore();
        nix::unistd::setsid().map(drop).map_err(io::Error::from)
    };
    // SAFETY: only system calls are made between fork and exec.
    unsafe { command.pre_exec(detach) };
    // When this process exits, the keeper is reparented to the reaper of orphans.
    command.spawn()
}

/// Removes the C library settings from the environment of a supervisor, so that services, downloads and builds get the
/// environment of `core up`.
///
/// # Safety
/// The process must have only one thread.
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
    if launch.number > 0 {
        args.extend(["--launch".into(), launch.number.to_string().into()]);
    }
    for service in &launch.services {
        args.extend(["--service".into(), service.into()]);
    }
    args
}

/// The running program, as reported to clients.
pub(crate) fn running_program() -> Option<Program> {
    let program = std::env::current_exe().ok()?;
    let place = in_place_of(&program);
    Some(Program { deleted: place != program, path: place.display().to_string() })
}

/// How the supervisor of a stack was started, from the command line of its keeper.
pub fn of_keeper(paths: &Paths) -> Launch {
    let keeper = Keeper::read(&paths.run);
    let line = keeper.and_then(|keeper| fs::read(format!("/proc/{}/cmdline", keeper.pid)).ok()).unwrap_or_default();
    let no_watch = line.split(|byte| *byte == 0).any(|word| word == b"--no-watch");
    Launch { no_watch, ..Launch::default() }
}

/// The program of keeper and shims: `core-shim` beside `core`, or `core` itself, which acts as it when called by that
/// name. So a single copied file is a complete installation.
pub(crate) fn shim_beside(core: &Path) -> PathBuf {
    let shim = core.with_file_name(core_shim::NAME);
    if shim.is_file() { shim } else { core.to_owned() }
}
