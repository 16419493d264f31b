//! `core deploy`

use std::path::{Path, PathBuf};

use core_host::api::{DeployRequest, TrialStatus};
use core_host::paths::Paths;
use core_host::releases::{self, Expected, Incoming};
use core_manifest::ServiceSpec;
use tokio::time::Instant;

use super::sight::{self, Ended};
use super::{ask_progress, build, downtime, previews, refuse_moved, ship, tell};
use crate::cli::DeployArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, DIM, GREEN, styled};

/// The default of `--timeout` in seconds; the build does not count.
const TIMEOUT: f64 = 120.0;

pub(crate) async fn run(context: &Context, args: &DeployArgs) -> Exit {
    let folder = args.archive.as_ref().filter(|archive| archive.is_dir());
    match folder.map(|folder| app_in(context, folder)).transpose() {
        Ok(None) => deploy(context, args).await,
        Ok(Some(service)) => {
            let args = DeployArgs { archive: None, service: args.service.clone().or(Some(service)), ..args.clone() };
            deploy(context, &args).await
        }
        Err(exit) => exit,
    }
}

/// The service whose app is in this folder.
fn app_in(context: &Context, folder: &Path) -> Result<String, Exit> {
    let paths = context.paths()?;
    let stack = context.load(&paths)?;
    let app = |spec: &ServiceSpec| std::fs::canonicalize(paths.root.join(stack.app_of(spec)?.source.app()?)).ok();
    let asked = std::fs::canonicalize(folder).ok();
    let found = stack.topology.services.iter().find(|(_, spec)| app(spec).is_some_and(|app| Some(app) == asked));
    found.map(|(name, _)| name.to_string()).ok_or_else(|| {
        render::error(&format!("no service of this stack has its app in {}, with releases", folder.display()));
        render::help("`core releases` lists the services with releases; another checkout is named by --root");
        Exit::Usage
    })
}

async fn deploy(context: &Context, args: &DeployArgs) -> Exit {
    if !args.host.is_empty() {
        return match args.archive.clone() {
            Some(archive) => ship::run(&archive, args).await,
            None => match build::to_send(context, args.service.as_deref()).await {
                Ok(archive) => ship::run(&archive, args).await,
                Err(exit) => exit,
            },
        };
    }
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    let is_tried = args.preview.is_some() || args.canary.is_some();
    if !args.no_switch && !is_tried {
        downtime::tell(context, &paths, args.service.as_deref());
    }
    let began = Instant::now();
    let serving = async || live(&ask_progress(&paths).await.ok()?.instances, args.service.as_deref());
    let before = serving().await;
    let there = releases::list(&paths, args.service.as_deref()).releases;
    let seconds = args.wait.timeout.unwrap_or(TIMEOUT);
    let is_piped = args.archive.as_deref().is_some_and(|archive| archive.as_os_str() == "-");
    let received = if is_piped { receive(&paths, args.upload.as_deref()).map(Some) } else { Ok(args.archive.clone()) };
    let archive = match received {
        Ok(archive) => archive,
        Err(message) => {
            render::error(&message);
            return Exit::Failed;
        }
    };
    let archive = match archive.as_ref().map(std::fs::canonicalize).transpose() {
        Ok(archive) => archive.map(|path| path.display().to_string()),
        Err(error) => {
            let archive = args.archive.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            render::error(&format!("{archive}: {error}"));
            return Exit::Usage;
        }
    };
    let request = DeployRequest {
        service: args.service.clone(),
        no_cache: args.no_cache,
        archive: archive.clone(),
        message: args.message.clone(),
        if_changed: args.if_changed,
        no_switch: args.no_switch,
        supersede: args.supersede,
        preview: args.preview.clone(),
        public: args.public,
        canary: args.canary,
    };
    let ended = sight::carry_out(&paths, "deploy", &request, seconds, ", the build not counted").await;
    // What came through a pipe is needed no longer, unless it is still read.
    if let (true, Some(archive), Ended::Done | Ended::Failed(_)) = (is_piped, &archive, &ended) {
        let _ = std::fs::remove_file(archive);
    }
    match ended {
        Ended::Failed(exit) | Ended::GoesOn(exit) => return exit,
        Ended::Done => {}
    }
    if is_tried {
        return tried(&paths, args, began).await;
    }
    if args.no_switch {
        let made = releases::list(&paths, args.service.as_deref()).releases;
        let is_new = |one: &&releases::Listed| there.iter().all(|old| old.record.id != one.record.id);
        let what = made.iter().find(is_new).map_or_else(
            || "these sources are a release already".to_owned(),
            |one| format!("{}: {} {}", styled(GREEN, "made"), one.record.service, one.record.id),
        );
        render::note(&format!("{what}; nothing was switched, `core releases` lists it"));
        return Exit::Ok;
    }
    let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
    let now = serving().await;
    let release = now.as_ref().map_or_else(String::new, |release| format!(": {release}"));
    if now.is_some() && now == before {
        render::note(&format!("{}{release} has these sources and serves already", styled(GREEN, "unchanged")));
    } else {
        render::note(&format!("{}{release} {took}", styled(GREEN, "deployed")));
    }
    Exit::Ok
}

/// Says where the release is that is tried now.
async fn tried(paths: &Paths, args: &DeployArgs, began: Instant) -> Exit {
    let status = match ask_progress(paths).await {
        Ok(status) => status,
        Err(error) => return tell(&error),
    };
    let name = args.preview.as_deref().unwrap_or("canary");
    let is_meant =
        |one: &&TrialStatus| one.name == name && args.service.as_ref().is_none_or(|service| one.service == *service);
    let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
    let Some(one) = status.trials.iter().find(is_meant) else {
        render::error(&format!("nothing is tried under the name {name} any more"));
        render::help("`core history` says why");
        return Exit::Failed;
    };
    let release = one.release.clone().unwrap_or_default();
    let what = format!("{} {release}", one.service);
    match one.percent {
        Some(percent) => {
            render::note(&format!("{}: {what}, for {percent} % of the clients {took}", styled(GREEN, "canary")));
            render::help("`core promote` makes it live, `core rollback` ends it");
        }
        None => {
            render::note(&format!("{}: {what} {took}", styled(GREEN, "preview")));
            for url in previews::urls(one, &status) {
                render::line(&url);
            }
            if !one.public {
                render::note(&previews::password(paths, &one.service));
            }
        }
    }
    Exit::Ok
}

/// An archive from standard input. Says first how much of it is there, if it was announced.
fn receive(paths: &Paths, upload: Option<&str>) -> Result<PathBuf, String> {
    let expected = upload.map(Expected::parse).transpose().map_err(|why| format!("--upload: {why}"))?;
    let is_announced = expected.is_some();
    let incoming = Incoming::open(paths, expected)?;
    if is_announced {
        let have = incoming.have().map_err(|error| format!("the archive: {error}"))?;
        render::line(&format!("have {have}"));
    }
    let archive = incoming.receive(&mut std::io::stdin().lock())?;
    if is_announced {
        // From here on, nobody is needed who listens.
        render::line("whole");
    }
    Ok(archive)
}

/// The release that serves now: that of the newest ready instance.
pub(super) fn live(instances: &[core_host::api::InstanceStatus], service: Option<&str>) -> Option<String> {
    let is_meant = |one: &&core_host::api::InstanceStatus| {
        one.ready && one.role.as_deref() == Some("live") && service.is_none_or(|name| one.service == name)
    };
    let newest = instances.iter().filter(is_meant).max_by_key(|one| one.generation)?;
    Some(format!("{} {}", newest.service, newest.release.clone()?))
}
