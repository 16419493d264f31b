//! `core promote`

use core_host::api::PromoteRequest;
use tokio::time::Instant;

use super::sight::{self, Ended};
use super::{ask_progress, downtime, refuse_moved};
use crate::cli::PromoteArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, DIM, GREEN, styled};

/// The default of `--timeout` in seconds.
const TIMEOUT: f64 = 120.0;

pub(crate) async fn run(context: &Context, args: &PromoteArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    downtime::tell(context, &paths, args.service.as_deref());
    let began = Instant::now();
    let request = PromoteRequest { service: args.service.clone(), name: args.name.clone(), as_built: args.as_built };
    let seconds = args.wait.timeout.unwrap_or(TIMEOUT);
    match sight::carry_out(&paths, "promote", &request, seconds, "").await {
        Ended::Done => {
            let instances = ask_progress(&paths).await.map(|status| status.instances).unwrap_or_default();
            let live = super::deploy::live(&instances, args.service.as_deref());
            let live = live.map_or_else(String::new, |live| format!(": {live}"));
            let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
            render::note(&format!("{}{live} {took}", styled(GREEN, "promoted")));
            Exit::Ok
        }
        Ended::Failed(exit) | Ended::GoesOn(exit) => exit,
    }
}
