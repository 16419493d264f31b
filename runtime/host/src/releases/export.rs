//! Releases of static exports. The app has no server: a program of core serves its files, and the edge those with a hash
//! in their names. That a build made one is known when it is done, so what runs is decided at each start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use core_manifest::{Identifier, ServiceSpec};

use super::choose::EXPORT;
use super::record::payload;
use crate::own::own_program;
use crate::paths::Paths;
use crate::static_files;

/// The program and its arguments that run instead of those of the spec, if the service runs an export.
pub fn command(paths: &Paths, spec: &ServiceSpec, ports: &BTreeMap<Identifier, u16>) -> Option<Vec<String>> {
    let id = spec.release.as_ref().filter(|id| !id.is_empty())?;
    let release = paths.releases().join(spec.name.as_str()).join(id);
    if !release.join(EXPORT).exists() {
        return None;
    }
    let name = &spec.route.as_ref()?.port;
    let port = spec.ports.get(name)?.number.or_else(|| ports.get(name).copied())?;
    let program = own_program().ok()?.display().to_string();
    Some(vec![program, "serve-files".into(), release.display().to_string(), port.to_string()])
}

/// Serves the release in a folder on a port of this host, until it is asked to end: what its process does.
///
/// # Errors
/// Why it cannot listen, or the error of a connection.
pub async fn serve(release: &Path, port: u16) -> io::Result<()> {
    let base = payload(release).map(|payload| payload.config.base_path).unwrap_or_default();
    static_files::serve(&release.join(EXPORT), &base, port).await
}
