//! The files beside the pointers of a service that have the edge answer in its place. The first one decides: it is written
//! after the others, and emptied before them.

use std::fs;
use std::io;
use std::path::PathBuf;

use core_engine::maintenance::Maintenance;
use core_manifest::ServiceName;
use core_stack::drivers::{self, BYPASS, GATE, IS_OPEN, MAINTENANCE, maintenance_file};
use sha2::{Digest as _, Sha256};

use crate::edge::replace;
use crate::paths::Paths;
use crate::private;
use crate::releases;

/// After how many seconds clients are told to ask again.
const RETRY_AFTER: &str = "60";
/// What [`GATE`] has while requests are held: the name of a socket that does not exist.
const IS_CLOSED: &str = "closed";
/// The page of a service, in its folder.
const OWN: &str = "maintenance.html";
/// The longest page that is shown: as much as the edge reads of a file.
const LONGEST: usize = 1 << 20;
/// The file of the secret that links are made of, and its length in bytes.
const SECRET: (&str, usize) = ("maintenance-key", 18);
/// The page where a service has none of its own.
const PAGE: &str = include_str!("maintenance.html");

/// As whom the edge runs, if that is another user than ours.
pub(crate) struct Reader(pub(crate) Option<u32>);

/// Has the edge answer in the place of a service. `reader` is absent while it is not known.
///
/// # Errors
/// The error of the file system.
pub(crate) fn begin(paths: &Paths, service: &ServiceName, how: &Maintenance, reader: Option<Reader>) -> io::Result<()> {
    let folder = folder(paths, service);
    fs::create_dir_all(&folder)?;
    let file = maintenance_file("pass");
    let is_known = reader.is_some();
    if is_known || !folder.join(&file).exists() {
        private::replace(
            &folder,
            &file,
            pass(paths, service.as_str())?.as_bytes(),
            reader.and_then(|reader| reader.0),
        )?;
    }
    let [four, six] = drivers::patterns(&how.allow);
    replace(&folder, &maintenance_file("v4"), &four)?;
    replace(&folder, &maintenance_file("v6"), &six)?;
    replace(&folder, &maintenance_file("html"), &page(paths, service))?;
    replace(&folder, &maintenance_file(GATE), IS_CLOSED)?;
    replace(&folder, &maintenance_file("hold"), &how.hold.map_or_else(String::new, |seconds| seconds.to_string()))?;
    replace(&folder, MAINTENANCE, RETRY_AFTER)
}

/// Ends that. What is held goes on.
///
/// # Errors
/// The error of the file system.
pub(crate) fn end(paths: &Paths, service: &ServiceName) -> io::Result<()> {
    let folder = folder(paths, service);
    replace(&folder, MAINTENANCE, "")?;
    replace(&folder, &maintenance_file(GATE), IS_OPEN)
}

fn folder(paths: &Paths, service: &ServiceName) -> PathBuf {
    paths.edge().join(service.as_str())
}

/// The page of a service, or that of core.
fn page(paths: &Paths, service: &ServiceName) -> String {
    let file = paths.root.join("services").join(service.as_str()).join(OWN);
    match crate::files::read_text(&file) {
        Ok(text) if text.len() < LONGEST => return text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) => tracing::warn!(%service, "{} is too long to be shown", paths.shown(&file)),
        Err(error) => tracing::warn!(%service, "{} cannot be read: {error}", paths.shown(&file)),
    }
    PAGE.to_owned()
}

/// What a link has that lets people see a service in maintenance: the same each time.
fn pass(paths: &Paths, service: &str) -> io::Result<String> {
    let secret = releases::kept_secret(&paths.secrets().join(SECRET.0), SECRET.1)?;
    let digest = Sha256::new().chain_update(service).chain_update([0]).chain_update(secret).finalize();
    Ok(core_stack::hex(&digest[..16]))
}

/// What follows the address of a service in such a link.
///
/// # Errors
/// The error of the file system.
pub fn link(paths: &Paths, service: &str) -> io::Result<String> {
    Ok(format!("?{BYPASS}={}", pass(paths, service)?))
}
