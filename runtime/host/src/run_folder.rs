//! Where the run folder of a stack stands, and how it is found again.
//!
//! It must be there for as long as the stack runs, whoever logs out meanwhile (`docs/RUN-FOLDER.md`), and no other user
//! may have a say in what stands there: every folder on the way to it is looked at.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use core_engine::InstanceId;
use core_shim::place::OWN;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

/// What `statfs` calls a tmpfs.
const TMPFS: i64 = 0x0102_1994;
/// Of folders that others may pass, and not look into: services of other users have their folders there.
const PASSABLE: u32 = 0o711;
/// Where logind keeps whose processes it leaves alone at their last logout.
const LINGER: &str = "/var/lib/systemd/linger";
/// There while logind runs.
const LOGIND: &str = "/run/systemd/seats";
/// The last number of users of the system, whose files in `/dev/shm` logind leaves alone.
const LAST_SYSTEM_USER: u32 = 999;
/// The longest path below which the longest name of an instance still makes the path of a socket (107 bytes).
const LONGEST: usize = 40;
/// How many names are looked at, or tried, where the first is somebody else's.
const MOST_NAMES: usize = 64;

/// A folder in which run folders are made.
struct Base {
    /// The folder above it, which is there.
    above: PathBuf,
    /// Its name.
    name: String,
    /// Anybody may make folders in `above`.
    is_shared: bool,
}

/// Where run folders may stand, the best place first.
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
    // A disk is slower, and nobody clears it away.
    bases.sort_by_key(|base| !is_tmpfs(&base.above));
    bases.extend(home(user).map(|home| own(home, ".core")));
    bases.push(shared("/var/tmp"));
    bases
}

/// Where others than `bases` may have put one: earlier versions, and other environments.
fn former_bases() -> Vec<Base> {
    let user = geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let runtime = runtime.into_iter().chain([format!("/run/user/{user}").into()]);
    let own = |above| Base { above, name: "core".into(), is_shared: false };
    let shared = |above: PathBuf| Base { above, name: format!("core-{user}"), is_shared: true };
    runtime.map(own).chain(["/dev/shm".into(), std::env::temp_dir()].map(shared)).collect()
}

/// The home of a user, where it is a folder of his.
fn home(user: Uid) -> Option<PathBuf> {
    let home = User::from_uid(user).ok().flatten()?.dir;
    let is_his = fs::metadata(&home).is_ok_and(|meta| meta.is_dir() && meta.uid() == user.as_raw());
    (is_his && home.as_os_str().len() < LONGEST - "/.core/0123456789ab".len()).then_some(home)
}

/// Whether logind was told to leave `/dev/shm` alone (`RemoveIPC=no`, logind.conf(5)).
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
    // The last word counts.
    said.last().is_some_and(|value| ["no", "false", "0", "off"].contains(&value.trim()))
}

impl Base {
    /// The folders that it may be: its own name, and those that were made where somebody else had that.
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

    /// Makes the run folder in it.
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

    /// A name that nobody has guessed.
    fn fresh(&self) -> PathBuf {
        let mut bytes = [0; 4];
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        self.above.join(format!("{}-{}", self.name, core_stack::hex(&bytes)))
    }
}

/// The run folder of this hash that is there, in whichever place; else where it would be made.
pub(crate) fn look(hash: &str) -> Option<PathBuf> {
    let all = || bases().into_iter().chain(former_bases());
    let is_there = |run: &PathBuf| run.is_dir() && check(run).is_ok();
    let there = all().flat_map(|base| base.folders()).map(|folder| folder.join(hash)).find(is_there);
    // Where the name is somebody else's, nothing of ours can stand.
    let is_free = |folder: &PathBuf| fs::symlink_metadata(folder).is_err() || check(folder).is_ok();
    let to_be = || bases().into_iter().find_map(|base| base.folders().into_iter().find(is_free));
    there.or_else(|| to_be().map(|folder| folder.join(hash)))
}

/// Makes the run folder of this hash in the best place that there is.
///
/// # Errors
/// Why it cannot be made in the last place that was tried.
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

/// Makes a folder that others may pass, or takes one of ours; and checks that nobody else has a say in it.
pub(crate) fn make_passable(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PASSABLE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => check(folder)?,
    }
    // The umask has its say, and so had earlier versions.
    if fs::symlink_metadata(folder)?.mode() & 0o777 != PASSABLE {
        fs::set_permissions(folder, Permissions::from_mode(PASSABLE))?;
    }
    Ok(())
}

/// Makes a run folder that was found, or that was taken away under those who live in it, fit to be used.
///
/// # Errors
/// What the file system says, or who has a say in it.
pub(crate) fn restore(run: &Path) -> io::Result<()> {
    if let Some(above) = run.parent() {
        make_passable(above)?;
    }
    make_passable(run)
}

/// Whether this is a folder, no link, of this user, that nobody else may write to.
pub(crate) fn is_of_alone(folder: &Path, owner: u32) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == owner && meta.mode() & 0o022 == 0)
}

/// Whether a folder is ours, and nobody else can put another one in its place, or in the place of one above it.
///
/// # Errors
/// Which folder is not, with its owner and mode.
pub(crate) fn check(folder: &Path) -> io::Result<()> {
    check_of(folder, geteuid().as_raw())
}

/// The same of a folder of somebody else's.
///
/// # Errors
/// As above.
pub(crate) fn check_of(folder: &Path, owner: u32) -> io::Result<()> {
    let refused = |folder: &Path, meta: &fs::Metadata| {
        let (uid, mode) = (meta.uid(), meta.mode() & 0o7777);
        let message = format!("{} is not a folder of ours alone (owner {uid}, mode {mode:o})", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    };
    if !is_of_alone(folder, owner) {
        return refused(folder, &fs::symlink_metadata(folder)?);
    }
    // A link further up is fine where nobody else can set it.
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

/// The instances of which something stands in a run folder.
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
