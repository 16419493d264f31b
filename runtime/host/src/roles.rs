//! Tells the instances of a release which part they have: the first time by their environment, after that by a file that
//! their environment names. A service with work of its own, like a timer, leaves it alone while it is only kept warm.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use core_engine::InstanceId;
use core_engine::action::{Role, StartOrder};
use core_engine::trial::CANARY;

/// Of processes that are kept warm: where memory is short, the kernel ends them first (`proc_pid_oom_score_adj(5)`).
const ENDS_FIRST: i32 = 800;

/// The file that says which part an instance has.
fn file(run: &Path, instance: &InstanceId) -> PathBuf {
    run.join("roles").join(instance.to_string())
}

/// The variables of an instance of a release that is being started, and its file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn begin(run: &Path, order: &StartOrder) -> io::Result<Vec<Vec<u8>>> {
    if order.spec.release.as_ref().is_none_or(String::is_empty) {
        return Ok(Vec::new());
    }
    let instance = &order.invocation.instance;
    let role = match instance.service().of_trial() {
        None => Role::Live,
        Some((_, CANARY)) => Role::Canary,
        Some(_) => Role::Preview,
    };
    write(run, instance, role)?;
    Ok(vec![
        format!("CORE_RELEASE_ROLE={}", role.word()).into_bytes(),
        format!("CORE_RELEASE_ROLE_FILE={}", file(run, instance).display()).into_bytes(),
    ])
}

/// Says which part an instance has now, and whether the kernel ends it first. `adjustment` is that of its manifest.
pub(crate) fn tell(run: &Path, instance: &InstanceId, pid: u32, role: Role, adjustment: Option<i32>) {
    if let Err(error) = write(run, instance, role) {
        tracing::warn!(%instance, "its part cannot be written down: {error}");
    }
    if pid > 0 {
        // It inherited that of core. The process may be gone by now.
        let own = || fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok();
        let usual = adjustment.or_else(own).unwrap_or(0);
        let score = if role == Role::Warm { usual.max(ENDS_FIRST) } else { usual };
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
    }
}

/// The instance is gone.
pub(crate) fn forget(run: &Path, instance: &InstanceId) {
    let _ = fs::remove_file(file(run, instance));
}

/// Writes down which part an instance has. Readers find the old word or the new one, whoever they are.
///
/// # Errors
/// The error of the file system.
pub(crate) fn write(run: &Path, instance: &InstanceId, role: Role) -> io::Result<()> {
    let path = file(run, instance);
    let folder = run.join("roles");
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    // Nobody else writes into this folder.
    let beside = folder.join(format!(".{instance}"));
    fs::write(&beside, format!("{}\n", role.word()))?;
    fs::set_permissions(&beside, Permissions::from_mode(0o644))?;
    fs::rename(beside, path)
}
