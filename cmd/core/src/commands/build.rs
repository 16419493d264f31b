//! `core build`

use std::path::PathBuf;
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
    let began = Instant::now();
    let made = built(context, args.service.as_deref(), async |made: Making<'_>| {
        let id = releases::pack(made.paths, made.service, made.wanted, &args.output, made.progress).await?;
        Ok(format!("{} {id}", made.service))
    });
    match made.await {
        Ok(what) => {
            let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
            render::note(&format!("{}: {what} in {} {took}", styled(GREEN, "built"), args.output.display()));
            Exit::Ok
        }
        Err(exit) => exit,
    }
}

/// Builds an archive to be sent to another host, unless there is one of these sources.
pub(crate) async fn to_send(context: &Context, service: Option<&str>) -> Result<PathBuf, Exit> {
    let made = async |made: Making<'_>| releases::pack_once(made.paths, made.service, made.wanted, made.progress).await;
    built(context, service, made).await
}

/// What is built.
struct Making<'a> {
    paths: &'a Paths,
    service: &'a str,
    wanted: &'a Wanted,
    progress: &'a Progress,
}

/// The service whose app is built for another host, and how it is built.
pub(crate) fn of_production(context: &Context, paths: &Paths, named: Option<&str>) -> Result<(String, Wanted), Exit> {
    let stack = for_another_host(context, paths)?;
    let (service, wanted) = wanted(&stack, named).map_err(|message| {
        render::error(&message);
        Exit::Usage
    })?;
    Ok((service.to_string(), wanted.clone()))
}

/// The stack with the profile whose variables a release for another host is built with.
fn for_another_host(context: &Context, paths: &Paths) -> Result<Stack, Exit> {
    let has_profile = load::profiles(&paths.root.join("manifests")).iter().any(|name| name == PROFILE);
    let profile = context.asked_profile().or_else(|| has_profile.then(|| PROFILE.to_owned()));
    context.with_profile(profile).load_to_run(paths)
}

/// Builds a release for another host, by `make`, and shows what is done.
async fn built<T>(
    context: &Context,
    service: Option<&str>,
    make: impl AsyncFnOnce(Making<'_>) -> Result<T, String>,
) -> Result<T, Exit> {
    let paths = context.paths()?;
    let stack = for_another_host(context, &paths)?;
    let (service, wanted) = wanted(&stack, service).map_err(|message| {
        render::error(&message);
        Exit::Usage
    })?;
    let progress = Progress::default();
    let making = async {
        binaries::prepare_tool(&paths, &stack.wanted, wanted, &progress).await.map_err(|error| error.why)?;
        make(Making { paths: &paths, service: service.as_str(), wanted, progress: &progress }).await
    };
    let made = tokio::select! {
        made = making => made,
        never = show(&progress) => match never {},
    };
    made.map_err(|error| {
        render::error(&error);
        Exit::Failed
    })
}

/// The service whose app is built, and how.
pub(crate) fn wanted<'a>(stack: &'a Stack, named: Option<&str>) -> Result<(ServiceName, &'a Wanted), String> {
    let services = stack.topology.services.iter();
    let all: Vec<(ServiceName, &Wanted)> =
        services.filter_map(|(name, spec)| Some((name.clone(), stack.app_of(spec)?))).collect();
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
