//! `.data`: what services store. A service's folders in it are made before it starts, private to the user that it runs
//! as; existing folders are never changed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

use core_engine::Topology;
use core_engine::topology::Places;
use core_manifest::Diagnostic;
use core_shim::wire::Start;
use nix::libc;

use crate::trust::Trust;
use crate::users;

/// Mode of `.data` itself: services of other users may pass through it, but not list it.
const PASSABLE: u32 = 0o711;

/// Makes the folders in `data` that a start mentions, owned by the user that it runs as.
///
/// # Errors
/// The error of the file system, with the folder.
pub(crate) fn ensure(data: &Path, service: &str, start: &Start) -> io::Result<()> {
    let names = mentioned(data, service, start);
    if names.is_empty() {
        return Ok(());
    }
    let owner = start.identity.user.as_ref().map(|(user, group, _)| (*user, *group));
    make(data, PASSABLE, None)?;
    names.iter().try_for_each(|name| make(&data.join(name), 0o700, owner))
}

/// The folders in `data` that a command line, an environment or a generated file mentions. A name without a `/` after
/// it may be a file, unless it is the service's name.
fn mentioned<'a>(data: &Path, service: &str, start: &'a Start) -> BTreeSet<&'a OsStr> {
    let texts = [&start.program, &start.cwd].into_iter().chain(&start.args).chain(&start.env);
    let texts = texts.chain(start.files.iter().map(|file| &file.contents));
    let prefix = [data.as_os_str().as_bytes(), b"/"].concat();
    let mut names = BTreeSet::new();
    for text in texts {
        let mut rest = text.as_slice();
        while let Some(at) = find(rest, &prefix) {
            rest = &rest[at + prefix.len()..];
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let end = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
            let (name, is_folder) = (&rest[..end], rest.get(end) == Some(&b'/') || rest[..end] == *service.as_bytes());
            if is_folder && !name.iter().all(|byte| *byte == b'.') {
                names.insert(OsStr::from_bytes(name));
            }
        }
    }
    names
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    // Every start searches a whole environment; a search in valid UTF-8 need not look at each byte.
    match (std::str::from_utf8(text), std::str::from_utf8(wanted)) {
        (Ok(text), Ok(wanted)) => text.find(wanted),
        _ => text.windows(wanted.len()).position(|window| window == wanted),
    }
}

/// Reports folders in `data` that other users could change, and folders of a service that belong to another user than
/// the one it runs as. (Existing folders are never changed.)
pub(crate) fn check(data: &Path, topology: &Topology, places: &dyn Places, trust: &Trust, out: &mut Vec<Diagnostic>) {
    for spec in topology.services.values() {
        let folder = data.join(spec.name.as_str());
        let Ok(meta) = fs::metadata(&folder) else { continue };
        let user = spec.identity.user.as_deref().and_then(|name| users::user(name).ok()).map(|user| user.uid.as_raw());
        let why = match (trust.is_writable_by_others(&meta), user) {
            (Some(what), _) => what,
            (None, Some(user)) if meta.uid() != user => {
                let who = users::name(meta.uid()).unwrap_or_else(|| meta.uid().to_string());
                format!("belongs to {who}, and `{}` runs as another user", spec.name)
            }
            _ => continue,
        };
        let user = spec.identity.user.as_deref().map_or(String::new(), |user| format!("chown -R {user} and "));
        out.push(
            Diagnostic::new("open-data", format!(".data/{} {why}", spec.name))
                .at_opt(places.span(&spec.name, &["process"]))
                .service(spec.name.as_str())
                .help(format!("{user}chmod 700 .data/{}, when what is in it can be trusted", spec.name)),
        );
    }
}

/// Makes a folder below `.data` for files of core's own, and those above it: services of other users may pass through, but
/// not list them.
///
/// # Errors
/// The error of the file system, with the folder.
pub(crate) fn make_passable(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    folder.parent().map_or(Ok(()), make_passable)?;
    make(folder, PASSABLE, None)
}

/// Makes a folder that is missing.
fn make(folder: &Path, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(failed)?,
    }
    let Some((user, group)) = owner else { return Ok(()) };
    // Through the open descriptor, so that another user cannot have put a link there.
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(folder).map_err(failed)?;
    fchown(opened, Some(user), Some(group)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use core_shim::wire::{FileToWrite, Identity, LogPlace};

    use super::*;

    #[test]
    fn what_a_start_speaks_of_is_made_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join(".data");
        let text = |text: &str| text.replace("DATA", &data.display().to_string()).into_bytes();
        let mut start = Start {
            number: 1,
            mark: String::new(),
            program: text("/bin/x"),
            args: vec![text("--dir"), text("DATA/cache"), text("--db=DATA/x.db"), text("DATA/../y/z")],
            env: vec![text("URL=file:DATA/t3/db.sqlite"), text("PLAIN=DATA"), text("OTHER=DATA2/a/b")],
            cwd: text("/"),
            identity: Identity::default(),
            sockets: Vec::new(),
            log: LogPlace { folder: Vec::new(), prefix: String::new(), segment_bytes: 1 },
            files: vec![FileToWrite { path: text("x"), contents: text("store: \"DATA/nats/js\"\n") }],
            note: String::new(),
            notifies: false,
            is_daemon: false,
            writable: Vec::new(),
        };
        let names: Vec<_> = mentioned(&data, "cache", &start).into_iter().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["cache", "nats", "t3"]);
        if nix::unistd::geteuid().is_root() {
            start.identity.user = Some((4711, 4712, Vec::new()));
        }
        fs::create_dir_all(data.join("nats")).unwrap();
        let before = fs::metadata(data.join("nats")).unwrap();
        ensure(&data, "cache", &start).unwrap();
        let of = |name: &str| fs::metadata(data.join(name)).unwrap();
        assert_eq!(of("cache").mode() & 0o777, 0o700);
        if nix::unistd::geteuid().is_root() {
            assert_eq!((of("cache").uid(), of("t3").gid()), (4711, 4712));
        }
        assert_eq!((of("nats").mode(), of("nats").uid()), (before.mode(), before.uid()), "it was there");
        assert!(!data.join("x.db").exists());
    }
}
