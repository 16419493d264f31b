//! `core rollback`

use core_host::api::{RollbackRequest, TrialStatus};
use core_host::paths::Paths;
use core_host::releases;
use tokio::time::Instant;

use super::sight::{self, Ended};
use super::{ask_progress, downtime, refuse_moved};
use crate::cli::RollbackArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, DIM, GREEN, styled};

/// The default of `--timeout` in seconds.
const TIMEOUT: f64 = 120.0;

pub(crate) async fn run(context: &Context, args: &RollbackArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    let service = args.service.as_deref();
    let named = match args.release.as_deref().map(|id| releases::find(&paths, service, id)).transpose() {
        Ok(named) => named,
        Err(message) => {
            render::error(&message);
            render::help("`core releases` lists them");
            return Exit::Usage;
        }
    };
    if let Some(why) = named.as_ref().and_then(releases::Listed::not_ready) {
        render::error(&why);
        return Exit::Usage;
    }
    let request = RollbackRequest {
        service: args.service.clone().or_else(|| named.as_ref().map(|one| one.record.service.clone())),
        release: named.as_ref().map(|one| one.record.id.clone()),
    };
    let trials = ask_progress(&paths).await.map(|status| status.trials).unwrap_or_default();
    let is_meant = |one: &&TrialStatus| request.service.as_ref().is_none_or(|service| one.service == *service);
    let canary = trials.iter().filter(is_meant).find(|one| one.percent.is_some() && request.release.is_none());
    if let Some(canary) = canary {
        return end_canary(&paths, &request, canary, args.wait.timeout.unwrap_or(TIMEOUT)).await;
    }
    let all = releases::list(&paths, request.service.as_deref()).releases;
    let target = named.or_else(|| all.iter().find(|one| one.before).cloned());
    if let Some(target) = &target {
        let from = all.iter().find(|one| one.wanted && one.record.service == target.record.service);
        let from = from.map_or_else(String::new, |from| format!(" from {}", from.record.id));
        let (service, id) = (&target.record.service, &target.record.id);
        render::note(&format!("{service} goes back{from} to {id}; databases stay as they are: no migration is undone"));
    }
    downtime::tell(context, &paths, request.service.as_deref());
    let began = Instant::now();
    let seconds = args.wait.timeout.unwrap_or(TIMEOUT);
    match sight::carry_out(&paths, "rollback", &request, seconds, "").await {
        Ended::Done => {
            let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
            let to = target.map_or_else(String::new, |one| format!(": {} {}", one.record.service, one.record.id));
            render::note(&format!("{}{to} {took}", styled(GREEN, "rolled back")));
            Exit::Ok
        }
        Ended::Failed(exit) | Ended::GoesOn(exit) => exit,
    }
}

/// The last deploy was that of a canary, or makes one the live release just now: the supervisor knows which.
async fn end_canary(paths: &Paths, request: &RollbackRequest, canary: &TrialStatus, seconds: f64) -> Exit {
    match sight::carry_out(paths, "rollback", request, seconds, "").await {
        Ended::Done => {
            let status = ask_progress(paths).await;
            let instances = status.map(|status| status.instances).unwrap_or_default();
            let live = super::deploy::live(&instances, Some(&canary.service));
            let live = live.map_or_else(String::new, |live| format!("; {live} serves everybody"));
            let release = canary.release.clone().unwrap_or_default();
            render::note(&format!("{}: the canary {release} of {}{live}", styled(GREEN, "ended"), canary.service));
            Exit::Ok
        }
        Ended::Failed(exit) | Ended::GoesOn(exit) => exit,
    }
}
