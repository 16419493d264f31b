//! Carries out the build of a Next.js app. `core-next` decides what is run.

use std::fs;
use std::path::{Path, PathBuf};

use core_next::{ADAPTER, ADAPTER_FILE, Build, Scripts, Step};
use core_stack::hidden::is_secret_name;

use super::inputs::{copy_inputs, lexically, of_app};
use super::log::Log;
use super::modules::Modules;
use super::{Landing, Scratch, run};

/// The program file of the npm that is installed beside `node`, to be run with `node`; `None` if there is none.
pub fn npm_cli(node: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(node).ok()?;
    let bin = real.parent()?;
    let mut candidates = Vec::new();
    for bin in [Some(bin), node.parent()].into_iter().flatten() {
        if let Some(prefix) = bin.parent() {
            candidates.push(prefix.join("lib/node_modules/npm/bin/npm-cli.js"));
            candidates.push(prefix.join("share/nodejs/npm/bin/npm-cli.js"));
        }
    }
    candidates.into_iter().find(|path| path.is_file())
}

pub(super) async fn build(landing: &Landing<'_>, app: &str) -> Result<(), String> {
    let Landing { paths, wanted, scratch, .. } = landing;
    let Some((node, _)) = &wanted.tool else { return Err("no node was chosen".into()) };
    let npm = npm_cli(node).ok_or_else(|| format!("{} has no npm beside it", node.display()))?;
    let io = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    landing.say("copying sources");
    let work = Scratch::new(paths.dep().join(format!(".build-{}", landing.folder)))?;
    let work = work.0.as_path();
    let app = lexically(&paths.root.join(app));
    copy_inputs(&app, work, of_app(&paths.root, &app)).map_err(io("its sources cannot be copied"))?;
    let cache = paths.dep().join(".cache");
    fs::create_dir_all(&cache).map_err(io(".dep/.cache"))?;
    let next_cache = cache.join(format!("next-{}", wanted.binary));
    let adapter = landing.beside("adapter")?.join(ADAPTER_FILE);
    fs::write(&adapter, ADAPTER).map_err(io("the adapter"))?;
    let shown = |path: &Path| path.display().to_string();
    // Next compares this path with its working directory, in which there are no links and no `..`.
    let root = fs::canonicalize(work).map_err(io("the copy of its sources"))?;
    let plan = Build::new(&shown(&npm), &shown(&cache.join("npm")));
    let modules = Modules::of(work, &shown(node), cache.join(format!("modules-{}", wanted.binary)));
    restore_cache(&next_cache, work);
    let has_modules = modules.restore(work);
    landing.owner.take(work)?;
    landing.owner.take(&cache.join("npm"))?;
    let mut is_installed = has_modules;
    let asked =
        |version: &str| core_next::next_version::variables(version, &shown(&adapter), &wanted.version, &shown(&root));
    let result = run_steps(landing, &plan, node, work, asked, &mut is_installed).await;
    keep_cache(work, &next_cache);
    if is_installed && let Err(error) = modules.keep(work) {
        tracing::warn!("the packages of {} are not kept: {error}", landing.folder);
    }
    result.and_then(|()| assemble(&plan, &root, scratch))
}

/// Installs and builds. `asked` are the variables of the last step for a version of Next.js; `is_installed` says whether
/// the packages are there, before and after.
async fn run_steps(
    landing: &Landing<'_>,
    plan: &Build,
    node: &Path,
    work: &Path,
    asked: impl Fn(&str) -> Vec<(String, String)>,
    is_installed: &mut bool,
) -> Result<(), String> {
    let mut log = Log::begin(landing.paths, landing.folder).await?;
    let read = |name: &str| fs::read_to_string(work.join(name)).unwrap_or_default();
    if !*is_installed {
        run_step(landing, plan, &plan.install, node, work, &[], &mut log).await?;
        let scripts = Scripts::of(&read("node_modules/.package-lock.json"));
        if !scripts.skipped.is_empty() {
            log.say(&format!("install scripts of these packages are not run: {}", scripts.skipped.join(", "))).await;
        }
        if let Some(step) = core_next::install_scripts(&plan.npm_cli, &scripts) {
            run_step(landing, plan, &step, node, work, &[], &mut log).await?;
        }
    }
    *is_installed = true;
    // The app's own may write beside the packages, so it is run for each copy.
    if core_next::has_postinstall(&read("package.json")) {
        run_step(landing, plan, &core_next::postinstall(&plan.npm_cli), node, work, &[], &mut log).await?;
    }
    let next: serde_json::Value =
        serde_json::from_str(&read("node_modules/next/package.json")).unwrap_or(serde_json::Value::Null);
    let asked = asked(next["version"].as_str().unwrap_or_default());
    run_step(landing, plan, &plan.build, node, work, &asked, &mut log).await
}

async fn run_step(
    landing: &Landing<'_>,
    plan: &Build,
    step: &Step,
    node: &Path,
    work: &Path,
    more: &[(String, String)],
    log: &mut Log,
) -> Result<(), String> {
    landing.say(step.title);
    let mut command = run::command(node);
    command.args(&step.args).current_dir(work);
    run::put_first(&mut command, node);
    landing.owner.run(&mut command);
    for name in plan.without {
        command.env_remove(name);
    }
    run::share(&mut command);
    if step.without_secrets {
        run::without(&mut command, is_secret_name);
    }
    command.envs(plan.env.iter().chain(more).map(|(name, value)| (name, value)));
    log.run(step.title, &mut command).await
}

/// Assembles what will run: the standalone server with its static files.
fn assemble(plan: &Build, work: &Path, scratch: &Path) -> Result<(), String> {
    for (from, to) in &plan.assemble {
        let source = if *to == "." { server_folder(work, from) } else { work.join(from) };
        if !source.exists() {
            // Most may be absent; that the server exists is checked below.
            continue;
        }
        let target = scratch.join(to);
        let moved = if *to == "." { move_contents(&source, scratch) } else { move_entry(&source, &target) };
        moved.map_err(|error| format!("{from} cannot be put in its place: {error}"))?;
    }
    if scratch.join("server.js").is_file() {
        return Ok(());
    }
    Err("the build made no server.js at the top: is the app's folder its whole project (outputFileTracingRoot)?".into())
}

/// The folder with the standalone server. Before Next.js 15, a lock file above the copy makes that folder the root of the
/// trace, and the server lies deeper, by as many folders as the copy does.
fn server_folder(work: &Path, standalone: &str) -> PathBuf {
    let top = work.join(standalone);
    let deeper = work.ancestors().skip(1).filter_map(|above| work.strip_prefix(above).ok().map(|way| top.join(way)));
    std::iter::once(top.clone()).chain(deeper).find(|folder| folder.join("server.js").is_file()).unwrap_or(top)
}

fn move_contents(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn move_entry(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let _ = fs::remove_dir_all(to);
    fs::rename(from, to)
}

/// Next.js builds faster with the cache of the last build.
fn restore_cache(kept: &Path, work: &Path) {
    let target = work.join(".next/cache");
    if let Some(parent) = target.parent() {
        let _ = fs::create_dir_all(parent);
    }
    let _ = fs::rename(kept, target);
}

fn keep_cache(work: &Path, kept: &Path) {
    let _ = fs::remove_dir_all(kept);
    let _ = fs::rename(work.join(".next/cache"), kept);
}
