//! Releases of static exports. The app has no server: a program of core serves its files, and the edge those with a hash
//! in their names. That a build made one is known when it is done, so what runs is decided at each start.

use std::collections::BTreeMap;

use core_manifest::{Identifier, ServiceSpec};

use super::choose::EXPORT;
use super::record::payload;
use crate::own::own_program;
use crate::paths::Paths;

/// The program and its arguments that run instead of those of the spec, if the service runs an export.
pub fn command(paths: &Paths, spec: &ServiceSpec, ports: &BTreeMap<Identifier, u16>) -> Option<Vec<String>> {
    let id = spec.release.as_ref().filter(|id| !id.is_empty())?;
    let release = paths.releases().join(spec.name.as_str()).join(id);
    let folder = release.join(EXPORT);
    if !folder.exists() {
        return None;
    }
    let name = &spec.route.as_ref()?.port;
    let port = spec.ports.get(name)?.number.or_else(|| ports.get(name).copied())?;
    let base = payload(&release).map(|payload| payload.config.base_path).unwrap_or_default();
    let words = [own_program().ok()?.display().to_string(), "serve-files".into(), folder.display().to_string()];
    Some(words.into_iter().chain([port.to_string()]).chain(Some(base).filter(|base| !base.is_empty())).collect())
}
