//! Releases: which one a service runs, how one is made, and where it lands.
//!
//! ```text
//! .releases/<service>/<id>/   server/ is what runs, app a link to the app in it; release.json, payload.json, build.log
//! .releases/<service>/pool    files of all releases that the edge serves
//! .releases/<service>/public  files of public/ that the edge serves, by release
//! .releases/<service>/current link to the live release, for people
//! .releases/<service>/.build  the copy that is built; .cache: what one build leaves to the next
//! .releases/<service>/.part-… a release that has not landed
//! ```

mod actions_key;
mod analysis;
mod archive;
mod assemble;
mod build;
mod choose;
mod compress;
mod dates;
mod dev;
mod export;
mod frozen;
mod home;
mod incoming;
mod install;
pub(crate) mod kept;
mod listing;
mod modules;
mod persist;
mod pool;
mod preview_key;
mod project;
mod provide;
mod prune;
mod public;
mod record;
mod rotation;
mod tools;
mod watched;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_engine::folder::{folder_of, release_of};
use core_manifest::ServiceSpec;
use core_next::build::WITHOUT;
use core_stack::{Building, Wanted};
use tokio::process::Command;

use crate::binaries::fence::{self, Limits};
use crate::binaries::log::Log;
use crate::binaries::modes::{self, Origin, is_open_but};
use crate::binaries::owner::Owner;
use crate::binaries::{Progress, run};
use crate::machine;
use crate::paths::Paths;
use crate::trust::Trust;
pub use analysis::{analyze, payload_of};
use choose::{Sources, landed};
pub(crate) use choose::{choose, has_landed};
pub use compress::precompress;
pub use core_next::payload;
pub(crate) use dev::holds;
pub use export::{command, serve};
use home::Home;
pub use incoming::{Expected, Incoming};
pub(crate) use kept::secret as kept_secret;
pub use listing::{Listed, Releases, find, list, pin, remove};
pub(crate) use preview_key::keys as preview_keys;
pub use preview_key::{USER as PREVIEW_USER, password as preview_password};
pub use project::{Tooling, tooling};
pub use provide::provide;
pub(crate) use provide::{promote, provide_finished};
pub(crate) use prune::{Needed, mark_live, prune};
pub use record::{Deployer, Record};
pub use rotation::{WINDOW, rotate};
use tools::Tool;

/// The folder of the framework's own cache, in that of the app: what a release may be written to.
pub(crate) const CACHE: &str = ".next";
/// How long a step may take if the manifest does not say.
const LONGEST_STEP: Duration = Duration::from_secs(1200);

/// What is left to do when a release has landed, before it may serve.
pub(crate) trait Finish {
    /// Does it; nobody else makes a release of the service meanwhile.
    ///
    /// # Errors
    /// Why the release may not serve, as text for people.
    async fn finish(&self, service: &str, release: &str) -> Result<(), String>;
}

/// A release that is being made.
struct Making<'a> {
    paths: &'a Paths,
    /// Its folder, as the engine knows it: `<service>/<id>`.
    folder: &'a str,
    service: &'a str,
    id: &'a str,
    /// The folder of the app, relative to the root of the stack.
    app: &'a str,
    node: &'a Path,
    /// The major version of node.
    node_version: String,
    /// Where it is made. All of it is deleted, whether the release lands or not.
    part: &'a Path,
    building: &'a Building,
    /// The hash of the files that are watched, if some are.
    watched: Option<String>,
    deployer: &'a Deployer,
    /// The user who builds.
    owner: Owner,
    progress: &'a Progress,
}

impl Making<'_> {
    /// What it is made from.
    fn sources(&self) -> Sources<'_> {
        Sources { service: self.service, app: self.app, node: &self.node_version, building: self.building }
    }

    /// Reports what is being done.
    fn say(&self, what: &str) {
        self.progress.say(self.folder, what);
    }

    /// The folder with the caches of package managers, which all builds share.
    fn cache(&self) -> PathBuf {
        self.paths.dep().join(".cache")
    }

    /// What each step may use.
    fn limits(&self) -> Limits {
        let build = &self.building.build;
        let memory = build.memory_mb.or_else(|| machine::look(&[]).ok().map(|machine| machine.limit_of_build()));
        let time = build.timeout_seconds.map_or(LONGEST_STEP, Duration::from_secs);
        Limits { memory_mib: memory, time }
    }

    /// Runs a step, whose output goes to the log.
    async fn run(&self, title: &str, command: &mut Command, log: &mut Log) -> Result<(), String> {
        log.run_within(title, command, self.limits()).await
    }

    /// A command of the build, which runs in `folder`.
    fn command(&self, tool: &Tool, folder: &Path) -> Command {
        let mut command = run::command(&tool.program);
        command.args(&tool.args).current_dir(folder);
        run::put_first(&mut command, self.node);
        self.owner.run(&mut command);
        for name in WITHOUT {
            command.env_remove(name);
        }
        // What else a program of node needs, beside its heap.
        run::share(&mut command, self.limits().memory_mib.map_or(u64::MAX, |mib| mib * 3 / 4));
        fence::step_back(&mut command);
        command.envs(core_next::build::env());
        command.env("npm_config_cache", self.cache().join("npm")).env("npm_config_update_notifier", "false");
        command
    }
}

/// The folders of releases that may serve and that only trusted users could change, as the engine knows them. Each is
/// examined once: `sound` holds those that passed.
pub(crate) fn present(paths: &Paths, sound: &mut BTreeSet<String>) -> BTreeSet<String> {
    let services = fs::read_dir(paths.releases()).into_iter().flatten().flatten();
    let names = services.filter_map(|entry| entry.file_name().into_string().ok());
    let of = |service: String| {
        let ids = landed(paths, &service).into_iter().filter(|id| !is_pending(paths, &service, id));
        ids.map(|id| folder_of(&service, &id)).collect::<Vec<_>>()
    };
    let there: BTreeSet<String> = names.flat_map(of).collect();
    sound.retain(|name| there.contains(name));
    let trust = Trust::of(&paths.root);
    for name in there {
        if !sound.contains(&name) && !is_open_but(&paths.releases().join(&name), &paths.data(), &trust) {
            sound.insert(name);
        }
    }
    sound.clone()
}

/// A file of the app that was written into a release since it landed, relative to the app, if there is one.
pub(crate) fn written(paths: &Paths, service: &str, id: &str) -> Option<String> {
    let release = paths.releases().join(service).join(id);
    let path = release.join(prune::written(&release)?);
    let app = fs::canonicalize(release.join(choose::APP)).ok()?;
    Some(path.strip_prefix(&app).unwrap_or(&path).display().to_string())
}

/// Whether something has to be run before a release may serve that is there.
pub fn is_pending(paths: &Paths, service: &str, id: &str) -> bool {
    let release = paths.releases().join(service).join(id);
    [choose::PENDING, choose::UNPREPARED].iter().any(|mark| release.join(mark).exists())
}

/// The folder of the app in the release that a service runs, if it runs one.
pub fn folder(paths: &Paths, spec: &ServiceSpec) -> Option<PathBuf> {
    let all = spec.binaries.values().map(|binary| PathBuf::from(&binary.path));
    let app = all.into_iter().find(|path| path.starts_with(paths.releases()))?;
    fs::canonicalize(app).ok()
}

/// The program that forgets what an app has cached, relative to the app.
pub fn purge() -> String {
    format!("{}/{}", core_next::cache::FOLDER, core_next::cache::PURGE)
}

/// The name of a release that is asked for and has no ID yet, among the jobs that are shown.
pub(crate) fn asked(service: &str) -> String {
    folder_of(service, "new")
}

/// Whether a release is of the sources as they are now, as far as the manifest has them watched.
///
/// # Errors
/// Why that cannot be told, as text for people.
pub(crate) fn is_of_now(paths: &Paths, service: &str, wanted: &Wanted, id: &str) -> Result<bool, String> {
    watched::is_of_now(paths, service, wanted, id)
}

/// Makes a release of the sources as they are now, unless one of the same sources has landed; `afresh` makes one in any
/// case, without what earlier builds have left. Returns its ID.
///
/// # Errors
/// Why it was not made, as text for people.
pub(crate) async fn make(
    paths: &Paths,
    service: &str,
    wanted: &Wanted,
    afresh: bool,
    deployer: &Deployer,
    progress: &Progress,
    finish: Option<&impl Finish>,
) -> Result<String, String> {
    // Chosen when nobody else makes one: the one before may have been of the same sources.
    let asked = asked(service);
    progress.say(&asked, "waiting for another build");
    let home = Home::open(paths, service).await?;
    progress.say(&asked, "looking at the sources");
    let sources = Sources::of(service, wanted);
    let id = if afresh {
        let _ = fs::remove_dir_all(build::kept(paths, service));
        choose::new_id(paths, sources)?
    } else {
        choose::of_sources(paths, sources, None)?
    };
    // From here on it is shown by its ID.
    progress.end(&asked);
    let folder = folder_of(service, &id);
    let made = async {
        home.make(paths, &folder, wanted, deployer, progress).await?;
        home.finish(service, &id, finish).await
    };
    let made = made.await;
    progress.end(&folder);
    made.map(|()| id)
}

/// Builds a release into the folder `landing` in `part`.
async fn build(
    paths: &Paths,
    folder: &str,
    wanted: &Wanted,
    (part, landing): (&Path, &Path),
    deployer: &Deployer,
    progress: &Progress,
) -> Result<(), String> {
    let Some((node, _)) = &wanted.tool else { return Err("no node was chosen".to_owned()) };
    let (service, id) = release_of(folder).unwrap_or((folder, ""));
    let making = Making {
        paths,
        folder,
        service,
        id,
        app: app_of(wanted),
        node,
        node_version: wanted.tool_version.clone(),
        part,
        building: &wanted.building,
        watched: watched::hash(paths, service, wanted)?,
        deployer,
        owner: Owner::of(&paths.root)?,
        progress,
    };
    build::build(&making, landing).await?;
    modes::settle(landing, Origin::Built).map_err(|error| format!("{}: {error}", landing.display()))
}

/// Builds a release of the sources as they are into an archive. Nothing lands. Returns its ID.
///
/// # Errors
/// Why it was not made, as text for people.
pub async fn pack(
    paths: &Paths,
    service: &str,
    wanted: &Wanted,
    to: &Path,
    progress: &Progress,
) -> Result<String, String> {
    let id = choose::new_id(paths, Sources::of(service, wanted))?;
    let home = Home::open(paths, service).await?;
    let part = home.part(&id)?;
    let landing = part.path().join("landing");
    build(paths, &folder_of(service, &id), wanted, (part.path(), &landing), &Deployer::default(), progress).await?;
    archive::pack(&landing, to)?;
    Ok(id)
}

/// An archive of a release of the sources as they are, to be sent: made once for the same sources, so that what was cut off
/// can go on.
///
/// # Errors
/// Why it was not made, as text for people.
pub async fn pack_once(paths: &Paths, service: &str, wanted: &Wanted, progress: &Progress) -> Result<PathBuf, String> {
    let folder = paths.state().join("outgoing");
    let hash = choose::hash_of(paths, Sources::of(service, wanted))?;
    let file = folder.join(format!("{service}-{hash}.tar.zst"));
    if !file.is_file() {
        // That of other sources is of no use any more.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", paths.shown(&folder)))?;
        pack(paths, service, wanted, &file, progress).await?;
    }
    Ok(file)
}

/// Lands the release of an archive, unless it has landed. Returns its ID.
///
/// # Errors
/// Why it cannot run here, or what is wrong with it, as text for people.
pub(crate) async fn land(
    paths: &Paths,
    service: &str,
    wanted: &Wanted,
    file: &Path,
    deployer: &Deployer,
    finish: Option<&impl Finish>,
) -> Result<String, String> {
    let home = Home::open(paths, service).await?;
    let part = home.part("archive")?;
    let landing = part.path().join("landing");
    let record = Record { deployer: deployer.clone(), ..archive::unpack(file, &landing, &wanted.tool_version)? };
    record.write(&landing)?;
    frozen::compare(&record, &wanted.building)?;
    if !home.has_landed(paths, &record.id) {
        let app = fs::read_link(landing.join(choose::APP)).map_err(|error| error.to_string())?;
        let (app, landed) = (landing.join(&app), home.path.join(&record.id).join(&app));
        persist::Persist::of(paths, service, &wanted.building).link(&app, &app, &landed)?;
        prune::list(&landing).map_err(|error| format!("the list of its files: {error}"))?;
        modes::settle(&landing, Origin::Built).map_err(|error| format!("{}: {error}", landing.display()))?;
        home.land(&landing, &record.id, &wanted.building)?;
        home.compress().await;
    }
    home.finish(service, &record.id, finish).await?;
    Ok(record.id)
}

/// The folder of the app, in a source that is one.
fn app_of(wanted: &Wanted) -> &str {
    wanted.source.app().unwrap_or(".")
}
