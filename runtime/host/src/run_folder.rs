//! Where the run folder of a stack is, and how it is found again.
//!
//! It must exist for as long as the stack runs, even if its user logs out (`docs/RUN-FOLDER.md`), and no other user may
//! be able to change it: every folder on the way to it is checked.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use core_engine::InstanceId;
use core_shim::place::OWN;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

/// The magic number of tmpfs in `statfs`.
const TMPFS: i64 = 0x0102_1994;
/// Mode of folders that other users may pass through, but not list: services of other users have folders in them.
const PASSABLE: u32 = 0o711;
/// Where logind lists the users whose processes it leaves alone after their last logout.
const LINGER: &str = "/var/lib/systemd/linger";
/// Exists while logind runs.
const LOGIND: &str = "/run/systemd/seats";
/// The highest UID of system users, whose files in `/dev/shm` logind leaves alone.
const LAST_SYSTEM_USER: u32 = 999;
/// The longest path that leaves room for the longest instance's socket path (107 bytes).
const LONGEST: usize = 40;
/// How many names to look at or try if the first one belongs to another user.
const MOST_NAMES: usize = 64;

/// A folder in which run folders are made.
struct Base {
    /// Its parent, which exists.
    above: PathBuf,
    /// The name of the folder.
    name: String,
    /// Whether any user may make folders in `above`.
    is_shared: bool,
}

/// The folders that may hold run folders, the best first.
fn bases() -> Vec<Base> {
    let user = geteuid();
    let own = |above: PathBuf, name: &str| Base { above, name: name.to_owned(), is_shared: false };
    let shared = |above: &str| Base { above: above.into(), name: format!("core-{user}"), is_shared: true };
    let mut bases = Vec::new();
    let lingers = || User::from_uid(user).ok().flatten().is_some_and(|user| Path::new(LINGER).join(user.name).exists());
    if user.is_root() {
        bases.push(own("/run".into(), "core"));
    } else if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty() && lingers()) {
        bases.push(own(folder.into(), "core"));
    }
    if user.as_raw() <= LAST_SYSTEM_USER || !Path::new(LOGIND).exists() || lingers() || keeps_shared_memory() {
        bases.push(shared("/dev/shm"));
    }
    // A disk is slower, and nothing clears it.
    bases.sort_by_key(|base| !is_tmpfs(&base.above));
    bases.extend(home(user).map(|home| own(home, ".core")));
    bases.push(shared("/var/tmp"));
    bases
}

/// Further places of run folders: from earlier versions, and from other environments.
fn former_bases() -> Vec<Base> {
    let user = geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let runtime = runtime.into_iter().chain([format!("/run/user/{user}").into()]);
    let own = |above| Base { above, name: "core".into(), is_shared: false };
    let shared = |above: PathBuf| Base { above, name: format!("core-{user}"), is_shared: true };
    runtime.map(own).chain(["/dev/shm".into(), std::env::temp_dir()].map(shared)).collect()
}

/// The home of a user, if it is a folder that the user owns.
fn home(user: Uid) -> Option<PathBuf> {
    let home = User::from_uid(user).ok().flatten()?.dir;
    let is_his = fs::metadata(&home).is_ok_and(|meta| meta.is_dir() && meta.uid() == user.as_raw());
    (is_his && home.as_os_str().len() < LONGEST - "/.core/0123456789ab".len()).then_some(home)
}

/// Whether logind is configured to leave `/dev/shm` alone (`RemoveIPC=no`, logind.conf(5)).
fn keeps_shared_memory() -> bool {
    let folders = ["/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"];
    let in_folder = |folder: &str| {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path()).collect();
        files.sort();
        files
    };
    let files =
        std::iter::once(PathBuf::from("/etc/systemd/logind.conf")).chain(folders.iter().flat_map(|one| in_folder(one)));
    let texts = files.filter_map(|path| fs::read_to_string(path).ok());
    let said = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("RemoveIPC=").map(str::to_owned));
        lines.collect::<Vec<_>>()
    });
    // The last setting counts.
    said.last().is_some_and(|value| ["no", "false", "0", "off"].contains(&value.trim()))
}

impl Base {
    /// The folders to consider: the usual name, and names that were made when another user had that.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.above.join(&self.name)];
        if self.is_shared {
            let prefix = format!("{}-", self.name);
            let names = fs::read_dir(&self.above).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let others = names.filter(|name| name.as_bytes().starts_with(prefix.as_bytes()));
            folders.extend(
                others.map(|name| self.above.join(name)).filter(|folder| check(folder).is_ok()).take(MOST_NAMES),
            );
        }
        folders
    }

    /// Makes the run folder for a hash.
    fn make(&self, hash: &str) -> io::Result<PathBuf> {
        let above = fs::canonicalize(&self.above)?;
        access(&above, AccessFlags::W_OK)?;
        let mut refused = None;
        for folder in self.folders().into_iter().chain(self.is_shared.then(|| self.fresh())) {
            match make_passable(&folder).and_then(|()| make_passable(&folder.join(hash))) {
                Ok(()) => return Ok(folder.join(hash)),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// A random name, which another user cannot have taken in advance.
    fn fresh(&self) -> PathBuf {
        let mut bytes = [0; 4];
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        self.above.join(format!("{}-{}", self.name, core_stack::hex(&bytes)))
    }
}

/// The existing run folder for this hash, in any place; otherwise where it would be made.
pub(crate) fn look(hash: &str) -> Option<PathBuf> {
    let all = || bases().into_iter().chain(former_bases());
    let is_there = |run: &PathBuf| run.is_dir() && check(run).is_ok();
    let there = all().flat_map(|base| base.folders()).map(|folder| folder.join(hash)).find(is_there);
    // If the name belongs to another user, the run folder cannot be there.
    let is_free = |folder: &PathBuf| fs::symlink_metadata(folder).is_err() || check(folder).is_ok();
    let to_be = || bases().into_iter().find_map(|base| base.folders().into_iter().find(is_free));
    there.or_else(|| to_be().map(|folder| folder.join(hash)))
}

/// Makes the run folder for this hash in the best possible place.
///
/// # Errors
/// The error of the last place that was tried.
pub(crate) fn make(hash: &str) -> io::Result<PathBuf> {
    let mut refused = None;
    for base in bases() {
        match base.make(hash) {
            Ok(run) => return Ok(run),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Makes a folder that others may pass through, or uses our existing one; checks that no other user could change it.
pub(crate) fn make_passable(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PASSABLE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => check(folder)?,
    }
    // The umask, or an earlier version, may have set another mode.
    if fs::symlink_metadata(folder)?.mode() & 0o777 != PASSABLE {
        fs::set_permissions(folder, Permissions::from_mode(PASSABLE))?;
    }
    Ok(())
}

/// Makes a run folder usable that was found, or that was removed while the stack runs.
///
/// # Errors
/// The error of the file system, or which user could change it.
pub(crate) fn restore(run: &Path) -> io::Result<()> {
    if let Some(above) = run.parent() {
        make_passable(above)?;
    }
    make_passable(run)
}

/// Whether this is a folder (not a link) of this user that no other user may write to.
pub(crate) fn is_of_alone(folder: &Path, owner: u32) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == owner && meta.mode() & 0o022 == 0)
}

/// Checks that a folder is ours, and that no other user can replace it or a folder above it.
///
/// # Errors
/// Which folder fails, with its owner and mode.
pub(crate) fn check(folder: &Path) -> io::Result<()> {
    check_of(folder, geteuid().as_raw())
}

/// The same for a folder of another user.
///
/// # Errors
/// As for `check`.
pub(crate) fn check_of(folder: &Path, owner: u32) -> io::Result<()> {
    let refused = |folder: &Path, meta: &fs::Metadata| {
        let (uid, mode) = (meta.uid(), meta.mode() & 0o7777);
        let message = format!("{} is not a folder of ours alone (owner {uid}, mode {mode:o})", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    };
    if !is_of_alone(folder, owner) {
        return refused(folder, &fs::symlink_metadata(folder)?);
    }
    // A link further up is fine if no other user can change it.
    let above = folder.parent().map(fs::canonicalize).transpose()?;
    for folder in above.iter().flat_map(|above| above.ancestors()) {
        let meta = fs::symlink_metadata(folder)?;
        let is_sticky = meta.mode() & 0o1000 != 0;
        let is_trusted = meta.uid() == 0 || meta.uid() == owner;
        if !is_trusted || meta.mode() & 0o022 != 0 && !is_sticky {
            return refused(folder, &meta);
        }
    }
    Ok(())
}

pub(crate) fn is_tmpfs(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type == TMPFS)
}

/// The instances that have files in a run folder.
pub(crate) fn instances(run: &Path) -> BTreeSet<InstanceId> {
    let entries = [run.to_owned(), run.join(OWN)].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    entries.flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn set_mode(folder: &Path, mode: u32) {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_have_a_say_in_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (above, inner) = (folder.path().join("above"), folder.path().join("above/inner"));
        fs::create_dir_all(&inner).unwrap();
        assert!(check(&inner).is_ok());
        set_mode(&inner, 0o777);
        assert!(check(&inner).is_err(), "its own mode");
        set_mode(&inner, 0o711);
        set_mode(&above, 0o777);
        assert!(check(&inner).is_err(), "that of the folder above");
        set_mode(&above, 0o1777);
        assert!(check(&inner).is_ok(), "nobody may rename what is ours there");
        set_mode(&above, 0o755);
        symlink(&inner, above.join("link")).unwrap();
        assert!(check(&above.join("link")).is_err(), "a link");
        if geteuid().is_root() {
            std::os::unix::fs::chown(&above, Some(4711), None).unwrap();
            assert!(check(&inner).is_err(), "somebody else's folder above");
            std::os::unix::fs::chown(&inner, Some(4711), None).unwrap();
            assert!(check(&inner).is_err(), "somebody else's");
            assert!(check_of(&inner, 4711).is_ok());
        }
    }

    #[test]
    fn a_name_that_somebody_has_taken_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o1777);
        let base = || Base { above: folder.path().to_owned(), name: "core-0".into(), is_shared: true };
        fs::create_dir(folder.path().join("core-0")).unwrap();
        set_mode(&folder.path().join("core-0"), 0o777);
        let run = base().make("abc").unwrap();
        assert!(check(&run).is_ok() && !run.starts_with(folder.path().join("core-0")), "{}", run.display());
        assert_eq!(base().make("abc").unwrap(), run, "found again");
        assert_eq!(fs::metadata(&run).unwrap().mode() & 0o777, PASSABLE);
    }
}
