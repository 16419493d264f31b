//! The root certificate of a stack's own CA, where browsers and other programs of this host look for those that they trust.
//! Done only when a person asks for it.

mod browsers;
mod system;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core_stack::{Stack, drivers};
use nix::unistd::geteuid;
use sha2::{Digest as _, Sha256};

use crate::paths::Paths;

/// A root certificate.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its file.
    pub file: PathBuf,
    /// Who it is of.
    pub subject: String,
    /// SHA-256 of it, in hexadecimal digits.
    pub fingerprint: String,
    pem: String,
    der: Vec<u8>,
}

/// Where certificates are trusted, and what was done there.
#[derive(Clone, Debug)]
pub struct Step {
    /// The place, as text for people.
    pub place: String,
    /// What was done, or why it was not.
    pub outcome: Result<Done, Refused>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was added or taken away.
    Changed,
    /// There was nothing to do.
    Same,
}

/// What was not done.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub why: String,
    /// What to do instead.
    pub instead: String,
}

/// The root certificate of a stack's CA. `None` if it was not made yet.
///
/// # Errors
/// The file cannot be read, or holds something else: as text for people.
pub fn of(paths: &Paths, stack: &Stack) -> Result<Option<Root>, String> {
    let Some(file) =
        stack.topology.edge().map(|edge| paths.data().join(edge.name.as_str()).join(drivers::ROOT_CERTIFICATE))
    else {
        return Ok(None);
    };
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", paths.shown(&file))),
    };
    read(&file, &text).map(Some).ok_or_else(|| format!("{} is not a certificate of a CA", paths.shown(&file)))
}

fn read(file: &Path, text: &[u8]) -> Option<Root> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(text).ok()?;
    let parsed = pem.parse_x509().ok()?;
    if !parsed.is_ca() {
        return None;
    }
    let subject =
        parsed.subject().iter_common_name().find_map(|name| name.as_str().ok()).unwrap_or_default().to_owned();
    // Only what was read as a certificate is passed on, whatever else the file holds.
    let (der, digits) = (pem.contents.clone(), STANDARD.encode(&pem.contents));
    let lines: Vec<&str> = (0..digits.len()).step_by(64).map(|at| &digits[at..digits.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    let fingerprint = core_stack::hex(&Sha256::digest(&der));
    Some(Root { file: file.to_owned(), subject, fingerprint, pem, der })
}

/// Has this host trust a root, in the store of the system and those of this user's browsers.
pub fn install(paths: &Paths, root: &Root) -> Vec<Step> {
    let name = name(paths);
    let mut steps = vec![system::install(&name, root)];
    steps.extend(browsers::install(&name, root));
    steps
}

/// Takes away what `install` has added for this stack, whether its root is still there or not.
pub fn remove(paths: &Paths) -> Vec<Step> {
    let name = name(paths);
    let mut steps = vec![system::remove(&name)];
    steps.extend(browsers::remove(&name));
    steps
}

/// How the root of this stack is called in stores: each stack has one of its own.
fn name(paths: &Paths) -> String {
    format!("core-{}", paths.hash)
}

impl Step {
    fn new(place: impl Into<String>, outcome: Result<Done, Refused>) -> Self {
        Self { place: place.into(), outcome }
    }
}

impl Refused {
    fn new(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { why: why.into(), instead: instead.into() }
    }
}

fn is_root() -> bool {
    geteuid().is_root()
}

/// Runs a program to its end, and returns what it wrote.
///
/// # Errors
/// Why it failed, as text for people.
fn run(program: &Path, args: &[&str]) -> Result<String, String> {
    let name = program.display();
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().lines().next_back().unwrap_or_default().to_owned();
    Err(format!("{name} has failed: {said}"))
}
