//! Provides what a service is to run: a release that has landed, was tried, or is made now; else a folder of `.dep/`.

use core_engine::event::Unavailable;
use core_engine::folder::release_of;
use core_manifest::ServiceName;
use core_manifest::manifest::Source;
use core_stack::Wanted;

use super::home::Home;
use super::record::{Deployer, Record};
use super::{Finish, dev, frozen, has_landed, is_pending};
use crate::binaries::{self, Progress};
use crate::paths::Paths;

/// Makes sure that a folder exists: a release, or one of `.dep/`.
///
/// # Errors
/// Why it is not available, as text for people.
pub async fn provide(paths: &Paths, folder: &str, wanted: &Wanted, progress: &Progress) -> Result<(), Unavailable> {
    provide_finished(paths, folder, wanted, progress, None::<&Nothing>).await
}

/// What is done with a release that a command of one service alone needs. It may not serve before more is done.
struct Nothing;

impl Finish for Nothing {
    async fn finish(&self, _service: &str, _release: &str) -> Result<(), String> {
        Ok(())
    }
}

/// The same; a release that is made may serve.
///
/// # Errors
/// Why it is not available, as text for people.
pub(crate) async fn provide_finished(
    paths: &Paths,
    folder: &str,
    wanted: &Wanted,
    progress: &Progress,
    finish: Option<&impl Finish>,
) -> Result<(), Unavailable> {
    match wanted.source {
        Source::NextBuild { .. } => {
            // One of an earlier version of core has landed, or it would not have been chosen.
            let Some((name, id)) = release_of(folder) else { return Ok(()) };
            let name = ServiceName::made(name).map_err(|rule| format!("{name} {rule}"))?;
            if name.is_trial() {
                // What has to be run before it may be tried, its deploy has run.
                return if has_landed(paths, &name, id) { Ok(()) } else { Err(format!("release {id} is gone").into()) };
            }
            let service = name.as_str();
            progress.say(folder, "waiting for another build");
            let home = Home::open(paths, service).await?;
            home.make(paths, folder, wanted, &Deployer::default(), progress).await?;
            // One that has served needs nothing more; what is left of another, a deploy does.
            if finish.is_some() && is_pending(paths, service, id) {
                home.finish(service, id, finish).await?;
            }
            Ok(())
        }
        Source::NextDev { .. } => dev::prepare(paths, folder, wanted, progress).await,
        _ => binaries::prepare(paths, folder, wanted, progress).await,
    }
}

/// Does what is left to do with a release that was tried, before it serves. Returns its ID.
///
/// # Errors
/// Why it may not serve, as text for people.
pub(crate) async fn promote(
    paths: &Paths,
    service: &str,
    wanted: &Wanted,
    id: &str,
    as_built: bool,
    finish: Option<&impl Finish>,
) -> Result<String, String> {
    let home = Home::open(paths, service).await?;
    let record = Record::read(&home.path.join(id)).ok_or_else(|| format!("release {id} is gone"))?;
    if !as_built {
        frozen::compare(&record, &wanted.building)
            .map_err(|why| format!("{why}, or promote it as it is: --as-built"))?;
    }
    home.finish(service, id, finish).await?;
    Ok(id.to_owned())
}
