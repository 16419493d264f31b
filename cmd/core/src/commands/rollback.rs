//! `core rollback`

use core_host::api::RollbackRequest;
use core_host::releases;
use tokio::time::Instant;

use super::sight::{self, Ended};
use super::{downtime, refuse_moved};
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
