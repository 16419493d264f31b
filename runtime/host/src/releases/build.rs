//! Makes a release: a copy of the sources, packages, `next build`, and what runs put together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use core_next::build::{CACHE, PROGRAM, SERVER, arguments};
use core_next::cache;
use core_next::payload::Payload;
use core_next::{ADAPTER, ADAPTER_FILE, next_version};

use super::Making;
use super::assemble::{SERVER_FOLDER, assemble};
use super::choose::{APP, EXPORT, hash_of};
use super::modules::Modules;
use super::persist::Persist;
use super::project::{Project, find_next};
use super::record::{PAYLOAD, Record};
use super::tools::Tool;
use super::{actions_key, analysis, frozen, install, prune};
use crate::binaries::Scratch;
use crate::binaries::fence::Limits;
use crate::binaries::inputs::{copy_inputs, lexically, of_app};
use crate::binaries::log::Log;
use crate::binaries::run::input;
use crate::paths::Paths;

/// Builds the release into the folder `landing`, which does not exist yet.
///
/// # Errors
/// What failed, as text for people.
pub(super) async fn build(making: &Making<'_>, landing: &Path) -> Result<(), String> {
    let paths = making.paths;
    let io = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let mut record = Record {
        id: making.id.to_owned(),
        service: making.service.to_owned(),
        made: jiff::Timestamp::now().to_string(),
        source: hash_of(paths, making.sources())?,
        watched: making.watched.clone(),
        deployer: making.deployer.clone(),
        node: making.node_version.clone(),
        variables: frozen::digests(making.building),
        ..Record::of_this_host()
    };
    let began = Instant::now();
    making.say("copying sources");
    let app = lexically(&paths.root.join(making.app));
    let project = Project::of(&app);
    record.note_commit(&project.root);
    // The same folder for each build: the caches of compilers name paths.
    let work = Scratch::new(paths.releases().join(making.service).join(".build"))?;
    let copied = copy_inputs(&project.root, work.path(), of_app(&paths.root, &project.root));
    copied.map_err(io("its sources cannot be copied"))?;
    // Next compares this path with its working directory, in which there are no links and no `..`.
    let root = fs::canonicalize(work.path()).map_err(io("the copy of its sources"))?;
    record.seconds.insert("copy".into(), began.elapsed().as_secs_f64());
    let kept = kept(paths, making.service);
    fs::create_dir_all(&kept).map_err(io("its cache"))?;
    fs::create_dir_all(making.cache()).map_err(io(".dep/.cache"))?;
    let modules = Modules::of(&root, &making.node.display().to_string(), kept.join("modules"));
    let next_cache = Kept { kept: kept.join("next"), target: root.join(&project.app).join(CACHE) };
    next_cache.restore();
    let mut is_installed = modules.restore(&root);
    making.owner.take(&root)?;
    making.owner.take(&making.cache())?;
    let keys = actions_key::Keys::of(paths, making.service, making.building);
    let result = run(making, &project, &root, keys.as_ref(), &mut is_installed, &mut record).await;
    next_cache.keep();
    if is_installed && let Err(error) = modules.keep(&root) {
        tracing::warn!("the packages of {} are not kept: {error}", making.service);
    }
    result?;
    making.say("looking at what was built");
    let payload = look_at(making, &root.join(&project.app), &root);
    making.say("putting it together");
    assemble(&root, &project.app, landing)?;
    let has_server = !landing.join(EXPORT).exists();
    let server = landing.join(SERVER_FOLDER).join(&project.app);
    if has_server && !next_version::takes_handlers(&record.next) {
        add_handlers(&server).map_err(io("the cache of its server"))?;
    }
    if let Some(keys) = keys.filter(|_| has_server) {
        keys.hand_over(paths, making.service, &server).map_err(io("the keys of its server actions"))?;
    }
    if let Some(payload) = payload {
        let text = serde_json::to_string_pretty(&payload).unwrap_or_default() + "\n";
        fs::write(landing.join(PAYLOAD), text).map_err(io(PAYLOAD))?;
    }
    let persist = Persist::of(paths, making.service, making.building);
    let app = fs::read_link(landing.join(APP)).map_err(io(APP))?;
    let home = |folder: &Path| folder.join(&app);
    let landed = paths.releases().join(making.folder);
    for line in persist.link(&root.join(&project.app), &home(landing), &home(&landed))? {
        tracing::info!(service = making.service, "{line}");
    }
    let log = Log::path(paths, making.folder);
    let _ = fs::copy(log, landing.join("build.log"));
    record.bytes = prune::size(landing);
    record.write(landing)?;
    prune::list(landing).map_err(io("the list of its files"))
}

/// What is known of the app that was built. Without it the release lands all the same: it is for people.
fn look_at(making: &Making<'_>, app: &Path, root: &Path) -> Option<Payload> {
    let names = making.building.identity.keys().cloned().collect();
    match analysis::analyze(app, root, Some(making.id), Some(making.node_version.clone()), names) {
        Ok(payload) => Some(payload),
        Err(why) => {
            tracing::warn!(service = making.service, "there is no payload: {why}");
            None
        }
    }
}

/// Gives a finished server the handlers of the cache.
fn add_handlers(home: &Path) -> io::Result<()> {
    let (server, list) = (home.join(SERVER), home.join(".next/required-server-files.json"));
    let made = cache::into_server(&fs::read_to_string(&server)?).zip(cache::into_list(&fs::read_to_string(&list)?));
    // A server that is not as expected, or that has a cache of its own, keeps what it has.
    let Some((server_text, list_text)) = made else { return Ok(()) };
    write_handlers(&home.join(cache::FOLDER))?;
    fs::write(server, server_text)?;
    fs::write(list, list_text)
}

/// What one build of a service leaves to the next.
pub(super) fn kept(paths: &Paths, service: &str) -> PathBuf {
    paths.releases().join(service).join(".cache")
}

/// Installs and builds. `is_installed` says whether the packages are there, before and after.
async fn run(
    making: &Making<'_>,
    project: &Project,
    root: &Path,
    keys: Option<&actions_key::Keys>,
    is_installed: &mut bool,
    record: &mut Record,
) -> Result<(), String> {
    let mut log = Log::begin(making.paths, making.folder).await?;
    let app = root.join(&project.app);
    let hooks = &making.building.hooks;
    hook(making, "before_build", hooks.before_build.as_ref(), &app, record, &mut log).await?;
    let began = Instant::now();
    if !*is_installed {
        install::install(making, project, root, &mut log).await?;
        *is_installed = true;
    }
    install::postinstall(making, project, root, &mut log).await?;
    record.seconds.insert("install".into(), began.elapsed().as_secs_f64());
    let began = Instant::now();
    let next = find_next(&app, root).ok_or("the project has no package `next`: is it a Next.js app?")?;
    let package = fs::read_to_string(next.join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let version = package["version"].as_str().unwrap_or_default();
    version.clone_into(&mut record.next);
    let adapter = making.part.join(ADAPTER_FILE);
    fs::write(&adapter, ADAPTER).map_err(|error| format!("{}: {error}", adapter.display()))?;
    let handlers = app.join(cache::FOLDER);
    write_handlers(&handlers).map_err(|error| format!("{}: {error}", handlers.display()))?;
    let shown = |path: &Path| path.display().to_string();
    let asked = next_version::variables(version, &shown(&adapter), making.id, &shown(root), &shown(&handlers));
    let program = next.join(PROGRAM).display().to_string();
    let mut command = making.command(&Tool { program: making.node.to_owned(), args: vec![program] }, &app);
    let package = fs::read_to_string(app.join("package.json")).unwrap_or_default();
    command.args(arguments(&package)).envs(keys.map(actions_key::Keys::variable));
    command.envs(&making.building.env).envs(asked);
    making.say("building");
    let built = making.run("building", &mut command, &mut log).await;
    record.seconds.insert("build".into(), began.elapsed().as_secs_f64());
    built?;
    hook(making, "after_build", hooks.after_build.as_ref(), &app, record, &mut log).await
}

/// Puts the handlers of the cache into the copy, where the build finds what else they need.
fn write_handlers(folder: &Path) -> io::Result<()> {
    // The project, or a script of a package, may have put something else in its place.
    let _ = fs::remove_dir_all(folder).or_else(|_| fs::remove_file(folder));
    fs::create_dir(folder)?;
    cache::FILES.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

/// Runs a hook of the manifest in the copy, like a step of the build.
async fn hook(
    making: &Making<'_>,
    title: &str,
    line: Option<&String>,
    app: &Path,
    record: &Record,
    log: &mut Log,
) -> Result<(), String> {
    let Some(line) = line else { return Ok(()) };
    making.say(&format!("running {title}"));
    let shell = Tool { program: "/bin/sh".into(), args: vec!["-c".into(), line.clone()] };
    let mut about = serde_json::to_value(record).unwrap_or_default();
    about["hook"] = title.into();
    let mut command = making.command(&shell, app);
    command.stdin(input(about.to_string()).map_err(|error| format!("{title}: {error}"))?);
    command.envs(&making.building.env).env("CORE_HOOK", title);
    let limits = Limits { time: making.building.hooks.longest(), ..making.limits() };
    log.run_within(title, &mut command, limits).await
}

/// Next's own cache, kept between builds.
struct Kept {
    kept: PathBuf,
    target: PathBuf,
}

impl Kept {
    fn restore(&self) {
        if let Some(parent) = self.target.parent() {
            let _ = fs::create_dir_all(parent);
        }
        let _ = fs::rename(&self.kept, &self.target);
    }

    fn keep(&self) {
        let _ = fs::remove_dir_all(&self.kept);
        let _ = fs::rename(&self.target, &self.kept);
    }
}
