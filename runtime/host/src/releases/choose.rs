//! Which release of a service runs: the wanted one, else the live one, else one of its sources as they are.

use std::fs;
use std::path::Path;

use core_engine::folder::folder_of;
use core_manifest::ServiceName;
use core_manifest::manifest::Source;
use core_next::{ADAPTER, cache};
use core_stack::{Building, Wanted};
use jiff::{SignedDuration, Timestamp};

use super::project::Project;
use super::{actions_key, dev};
use crate::binaries::Release;
use crate::binaries::inputs::{hash_of_inputs, lexically, of_app};
use crate::paths::Paths;

/// How many digits of the hash of its sources the ID of a release ends in.
const DIGITS: usize = 7;
/// The link to the live release.
pub(super) const CURRENT: &str = "current";
/// The mark of a release that has landed and may not serve yet: what has to be run first is being run, or was cut off.
pub(super) const PENDING: &str = "pending";
/// The mark of a release that was only made: what has to be run before it serves, its deploy will run.
pub(super) const UNPREPARED: &str = "unprepared";
/// A link to the files of a release that is a static export.
pub(super) const EXPORT: &str = "export";
/// What is executed of a release: a link to the app in `server/`.
pub(super) const APP: &str = "app";

/// What a release of a service is made from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) service: &'a str,
    /// The folder of the app, relative to the root.
    pub(super) app: &'a str,
    /// The major version of Node.js that builds.
    pub(super) node: &'a str,
    pub(super) building: &'a Building,
}

impl<'a> Sources<'a> {
    /// As the manifests say.
    pub(super) fn of(service: &'a str, wanted: &'a Wanted) -> Self {
        let app = wanted.source.app().unwrap_or(".");
        Self { service, app, node: &wanted.tool_version, building: &wanted.building }
    }
}

/// What runs of an app: its development server, or a release. `wanted` is the one that the engine wants, `binary` the
/// name by which releases were known before they had folders of their own, `node` the major version that builds.
///
/// # Errors
/// Why there is none, as text for people.
pub(crate) fn choose(
    paths: &Paths,
    name: &ServiceName,
    source: &Source,
    wanted: Option<&str>,
    binary: &str,
    node: &str,
    building: Building,
) -> Result<Release, String> {
    let app = source.app().unwrap_or(".");
    // A trial runs a release of its service, under a name of its own.
    let parent = name.parent();
    let service = parent.as_str();
    if let Source::NextDev { .. } = source {
        return dev::choose(paths, service, app, node);
    }
    let chosen = |id: &str| Release {
        id: id.to_owned(),
        folder: folder_of(name.as_str(), id),
        path: paths.releases().join(service).join(id).join(APP),
        building: building.clone(),
    };
    let has_landed = |id: &str| has_landed(paths, name, id);
    if let Some(id) = wanted.filter(|id| has_landed(id)) {
        return Ok(chosen(id));
    }
    // One that an earlier version of core built stays until the first deploy.
    let before = wanted.map(|id| format!("{binary}-{id}")).filter(|folder| paths.dep().join(folder).is_dir());
    if let (Some(folder), Some(id)) = (before, wanted) {
        return Ok(Release { id: id.to_owned(), path: paths.dep().join(&folder), folder, building });
    }
    let live = fs::read_link(paths.releases().join(service).join(CURRENT)).ok();
    if let Some(id) = live.and_then(|id| id.into_os_string().into_string().ok()).filter(|id| has_landed(id)) {
        return Ok(chosen(&id));
    }
    let sources = Sources { service, app, node, building: &building };
    Ok(chosen(&of_sources(paths, sources, wanted)?))
}

/// Whether a release is there that a service, or a trial of it, is to run.
pub(crate) fn has_landed(paths: &Paths, name: &ServiceName, id: &str) -> bool {
    !id.is_empty() && paths.releases().join(name.parent().as_str()).join(id).join(APP).exists()
}

/// The ID of the release of the sources as they are: one that has landed or is wanted, else a new one.
///
/// # Errors
/// Why they cannot be read, as text for people.
pub(super) fn of_sources(paths: &Paths, sources: Sources<'_>, wanted: Option<&str>) -> Result<String, String> {
    let (hash, service) = (hash_of(paths, sources)?, sources.service);
    let ending = format!("-{}", &hash[..DIGITS]);
    let landed = landed(paths, service).into_iter().rev().find(|id| id.ends_with(&ending));
    let wanted = wanted.filter(|id| id.ends_with(&ending)).map(str::to_owned);
    Ok(landed.or(wanted).unwrap_or_else(|| id_of(paths, service, &hash)))
}

/// A new ID for a release of the sources as they are.
///
/// # Errors
/// Why they cannot be read, as text for people.
pub(super) fn new_id(paths: &Paths, sources: Sources<'_>) -> Result<String, String> {
    Ok(id_of(paths, sources.service, &hash_of(paths, sources)?))
}

/// The time and the beginning of the hash; a second later if there is one.
fn id_of(paths: &Paths, service: &str, hash: &str) -> String {
    let times = (0..).map(|seconds| Timestamp::now() + SignedDuration::from_secs(seconds));
    let mut ids = times.map(|time| format!("{}-{}", time.strftime("%Y%m%d-%H%M%S"), &hash[..DIGITS]));
    let is_new = |id: &String| !paths.releases().join(service).join(id).exists();
    ids.find(is_new).unwrap_or_default()
}

/// The hash of everything that an app is built from.
///
/// # Errors
/// Why its sources cannot be read, as text for people.
pub(super) fn hash_of(paths: &Paths, sources: Sources<'_>) -> Result<String, String> {
    let Sources { service, app, node, building } = sources;
    let folder = lexically(&paths.root.join(app));
    if !folder.join("package.json").is_file() {
        return Err(format!("{app} is not an app: it has no package.json"));
    }
    let project = Project::of(&folder);
    let below = project.app.display().to_string();
    let mut extra = vec!["release 1", node, ADAPTER, &below, project.managed.command()];
    extra.extend(building.identity.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    extra.extend([&building.hooks.before_build, &building.hooks.after_build].into_iter().flatten().map(String::as_str));
    extra.extend(building.build.scripts.iter().chain(&building.persist).map(String::as_str));
    let rotated = actions_key::rotated(paths, service);
    extra.extend(rotated.as_deref());
    extra.extend(cache::FILES.iter().map(|(_, text)| *text));
    let counts = of_app(&paths.root, &project.root);
    // What the app writes is no part of it.
    let persists = |path: &str| {
        let Ok(path) = Path::new(path).strip_prefix(&project.app) else { return false };
        building.persist.iter().any(|one| path.starts_with(one.trim_start_matches("./").trim_end_matches('/')))
    };
    hash_of_inputs(&project.root, |path| counts(path) && !persists(path), &extra)
        .map_err(|error| paths.shown(Path::new(&error.to_string())))
}

/// The releases of a service that have landed, the oldest first.
pub(super) fn landed(paths: &Paths, service: &str) -> Vec<String> {
    landed_in(&paths.releases().join(service))
}

/// The same, of the folder of a service.
pub(super) fn landed_in(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_release = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
    let mut all: Vec<String> =
        names.filter(is_release).filter(|name| !home.join(name).join(PENDING).exists()).collect();
    all.sort();
    all
}
