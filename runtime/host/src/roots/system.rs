//! The store of the system: a folder for certificates that were added, and a program that reads it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Done, Refused, Root, Step, is_root, run};
use crate::which::find_program;

/// A kind of store.
struct Kind {
    folder: &'static str,
    ending: &'static str,
    program: &'static str,
    /// What the program is told when a certificate was taken away.
    afresh: &'static [&'static str],
}

/// Those of Fedora, Arch, SUSE, and Debian with all that came from it, which is told by its program alone.
const KINDS: [Kind; 4] = [
    Kind { folder: "/etc/pki/ca-trust/source/anchors", ending: "pem", program: "update-ca-trust", afresh: &[] },
    Kind {
        folder: "/etc/ca-certificates/trust-source/anchors",
        ending: "crt",
        program: "update-ca-trust",
        afresh: &[],
    },
    Kind { folder: "/etc/pki/trust/anchors", ending: "pem", program: "update-ca-certificates", afresh: &["--fresh"] },
    Kind {
        folder: "/usr/local/share/ca-certificates",
        ending: "crt",
        program: "update-ca-certificates",
        afresh: &["--fresh"],
    },
];
/// Where their programs are.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// The store of this host.
struct Store {
    kind: &'static Kind,
    program: PathBuf,
}

impl Store {
    fn find() -> Option<Self> {
        let last = KINDS.len() - 1;
        KINDS.iter().enumerate().find_map(|(at, kind)| {
            let program = find_program(kind.program, Some(PATH))?;
            (at == last || Path::new(kind.folder).is_dir()).then_some(Self { kind, program })
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.kind.folder).join(format!("{name}.{}", self.kind.ending))
    }

    fn place(&self) -> String {
        format!("the system's store ({})", self.kind.folder)
    }
}

fn unknown() -> Step {
    let instead = "install `ca-certificates`, or tell each program the file of the root, such as NODE_EXTRA_CA_CERTS";
    let why = "neither update-ca-certificates nor update-ca-trust is on this host";
    Step::new("the system's store", Err(Refused::new(why, instead)))
}

pub(super) fn install(name: &str, root: &Root) -> Step {
    let Some(store) = Store::find() else { return unknown() };
    let (file, program) = (store.file(name), store.kind.program);
    let by_hand = format!("sudo install -m 644 {} {} && sudo {program}", root.file.display(), file.display());
    let outcome = if fs::read(&file).is_ok_and(|have| have == root.pem.as_bytes()) {
        Ok(Done::Same)
    } else if is_root() {
        put(&file, &root.pem)
            .map_err(|error| format!("{}: {error}", file.display()))
            .and_then(|()| {
                // One that was not read in is none: the next try begins again.
                run(&store.program, &[]).inspect_err(|_| drop(fs::remove_file(&file)))
            })
            .map(|_| Done::Changed)
            .map_err(|why| Refused::new(why, by_hand))
    } else {
        Err(Refused::new("only root may change it", by_hand))
    };
    Step::new(store.place(), outcome)
}

pub(super) fn remove(name: &str) -> Step {
    let Some(store) = Store::find() else { return unknown() };
    let (file, program, afresh) = (store.file(name), store.kind.program, store.kind.afresh);
    let by_hand = format!("sudo rm -f {} && sudo {program} {}", file.display(), afresh.join(" "));
    let by_hand = by_hand.trim_end().to_owned();
    let outcome = if fs::symlink_metadata(&file).is_err() {
        Ok(Done::Same)
    } else if is_root() {
        fs::remove_file(&file)
            .map_err(|error| format!("{}: {error}", file.display()))
            .and_then(|()| run(&store.program, afresh))
            .map(|_| Done::Changed)
            .map_err(|why| Refused::new(why, by_hand))
    } else {
        Err(Refused::new("only root may change it", by_hand))
    };
    Step::new(store.place(), outcome)
}

/// Writes a file beside, and renames it.
fn put(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(&beside, file)
}
