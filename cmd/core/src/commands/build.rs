//! `core build`

use std::time::Duration;

use core_host::binaries::{self, Progress};
use core_host::load;
use core_host::paths::Paths;
use core_host::releases;
use core_manifest::ServiceName;
use core_stack::{Stack, Wanted};
use tokio::time::Instant;

use crate::cli::BuildArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, DIM, GREEN, styled};

/// The profile whose variables a release is built with, where there is one.
const PROFILE: &str = "production";
/// How often the progress is looked at.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(context: &Context, args: &BuildArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let has_profile = load::profiles(&paths.root.join("manifests")).iter().any(|name| name == PROFILE);
    let profile = context.asked_profile().or_else(|| has_profile.then(|| PROFILE.to_owned()));
    let stack = match context.with_profile(profile).load_to_run(&paths) {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    let (service, wanted) = match wanted(&stack, args.service.as_deref()) {
        Ok(found) => found,
        Err(message) => {
            render::error(&message);
            return Exit::Usage;
        }
    };
    let began = Instant::now();
    let progress = Progress::default();
    let made = tokio::select! {
        made = make(&paths, &stack, &service, wanted, args, &progress) => made,
        never = show(&progress) => match never {},
    };
    match made {
        Ok(id) => {
            let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
            let file = args.output.display();
            render::note(&format!("{}: {service} {id} in {file} {took}", styled(GREEN, "built")));
            Exit::Ok
        }
        Err(error) => {
            render::error(&error);
            Exit::Failed
        }
    }
}

/// The service whose app is built, and how.
fn wanted<'a>(stack: &'a Stack, named: Option<&str>) -> Result<(ServiceName, &'a Wanted), String> {
    let of = |name: &ServiceName| {
        let spec = stack.topology.services.get(name)?;
        let mut folders = spec.binaries.values().filter_map(|binary| binary.folder.as_ref());
        folders.find_map(|folder| stack.wanted.get(folder).filter(|wanted| wanted.source.is_release()))
    };
    let all: Vec<(ServiceName, &Wanted)> =
        stack.topology.services.keys().filter_map(|name| Some((name.clone(), of(name)?))).collect();
    match (named, all.as_slice()) {
        (Some(named), all) => all
            .iter()
            .find(|(name, _)| name.as_str() == named)
            .cloned()
            .ok_or_else(|| format!("`{named}` has no releases with the profile {}", stack.profile)),
        (None, [one]) => Ok(one.clone()),
        (None, []) => Err(format!("no service has releases with the profile {}; try another --profile", stack.profile)),
        (None, all) => {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("several services have releases: {}; say which with --service", names.join(", ")))
        }
    }
}

async fn make(
    paths: &Paths,
    stack: &Stack,
    service: &ServiceName,
    wanted: &Wanted,
    args: &BuildArgs,
    progress: &Progress,
) -> Result<String, String> {
    binaries::prepare_tool(paths, &stack.wanted, wanted, progress).await.map_err(|error| error.why)?;
    releases::pack(paths, service.as_str(), wanted, &args.output, progress).await
}

/// Prints what is being done, each step once.
async fn show(progress: &Progress) -> std::convert::Infallible {
    let mut said = String::new();
    loop {
        for (_, job) in progress.jobs() {
            if job.what != said {
                render::note(&job.what);
                said = job.what;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
