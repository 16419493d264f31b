//! The databases of Chromium and Firefox, which do not ask the store of the system: those of this user.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::geteuid;

use super::{Done, Refused, Root, Step, run};
use crate::which::find_program;

/// What changes them.
const PROGRAM: &str = "certutil";
/// Databases, and folders with one for each profile: of Debian's packages, of snaps and of flatpaks.
const DATABASES: [&str; 2] = [".pki/nssdb", "snap/chromium/current/.pki/nssdb"];
const PROFILES: [&str; 4] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];
/// The file that makes a folder a database.
const MARK: &str = "cert9.db";

/// The databases of this user: those of others are not ours to write, whatever the environment says is home.
fn databases() -> Vec<PathBuf> {
    let Some(home) = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) else {
        return Vec::new();
    };
    let entries = |folder: &str| fs::read_dir(home.join(folder)).into_iter().flatten().flatten();
    let profiles = PROFILES.iter().flat_map(|folder| entries(folder)).map(|entry| entry.path());
    let is_ours = |folder: &PathBuf| {
        fs::metadata(folder.join(MARK)).is_ok_and(|meta| meta.is_file() && meta.uid() == geteuid().as_raw())
    };
    let mut all: Vec<PathBuf> =
        DATABASES.iter().map(|folder| home.join(folder)).chain(profiles).filter(is_ours).collect();
    all.sort();
    all
}

/// Does something with each database.
fn each(instead: &str, change: impl Fn(&Path, &str) -> Result<Done, String>) -> Vec<Step> {
    let program = find_program(PROGRAM, env::var("PATH").ok().as_deref());
    let one = |folder: PathBuf| {
        let outcome = match &program {
            None => {
                let install = "install it (`libnss3-tools`, `nss-tools`) and run this again";
                Err(Refused::new(format!("{PROGRAM} is not on PATH"), format!("{install}, or {instead}")))
            }
            Some(program) => change(program, &format!("sql:{}", folder.display()))
                .map_err(|why| Refused::new(why, format!("end the browser and run this again, or {instead}"))),
        };
        Step::new(format!("a browser of this user ({})", folder.display()), outcome)
    };
    databases().into_iter().map(one).collect()
}

/// What a database has under a name.
fn have(program: &Path, database: &str, name: &str) -> Option<Vec<u8>> {
    let text = run(program, &["-L", "-d", database, "-n", name, "-a"]).ok()?;
    let digits = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect::<String>();
    STANDARD.decode(digits).ok()
}

pub(super) fn install(name: &str, root: &Root) -> Vec<Step> {
    let file = root.file.display().to_string();
    each(&format!("import {file} in its settings, as a CA for web sites"), |program, database| {
        match have(program, database, name) {
            Some(der) if der == root.der => return Ok(Done::Same),
            // That of a CA that is no more.
            Some(_) => run(program, &["-D", "-d", database, "-n", name]).map(drop)?,
            None => {}
        }
        run(program, &["-A", "-d", database, "-n", name, "-t", "C,,", "-i", &file]).map(|_| Done::Changed)
    })
}

pub(super) fn remove(name: &str) -> Vec<Step> {
    each(&format!("delete {name} in its settings"), |program, database| {
        if have(program, database, name).is_none() {
            return Ok(Done::Same);
        }
        run(program, &["-D", "-d", database, "-n", name]).map(|_| Done::Changed)
    })
}
