//! `core start`, `stop`, `restart`, `scale`, `apply`

use core_engine::engine::OperationState;
use core_host::api::{ScaleRequest, ServicesRequest};
use core_host::client::ClientError;
use serde::Serialize;

use super::{begin, refuse_moved, tell, tell_failure, wait_for};
use crate::cli::ScaleArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(context: &Context, verb: &str, services: &[String]) -> Exit {
    carry_out(context, verb, &ServicesRequest { services: services.to_vec() }).await
}

pub(crate) async fn scale(context: &Context, args: &ScaleArgs) -> Exit {
    let parsed = args.target.split_once('=').and_then(|(service, replicas)| Some((service, replicas.parse().ok()?)));
    let Some((service, replicas)) = parsed else {
        render::error(&format!("`{}` is no SERVICE=REPLICAS", args.target));
        render::help("for example: core scale web=3");
        return Exit::Usage;
    };
    carry_out(context, "scale", &ScaleRequest { service: service.to_owned(), replicas }).await
}

pub(crate) async fn apply(context: &Context) -> Exit {
    carry_out(context, "apply", &()).await
}

async fn carry_out(context: &Context, verb: &str, body: &impl Serialize) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = refuse_moved(&paths) {
        return exit;
    }
    let asked = async {
        let accepted = begin(&paths, verb, body).await?;
        wait_for(&paths, accepted.operation).await
    };
    match asked.await {
        Ok(operation) => match operation.status {
            OperationState::Failed { message, .. } => {
                tell_failure(&message, &operation.last_lines);
                Exit::Failed
            }
            _ => Exit::Ok,
        },
        // `core stop` of a stack that does not run has come true.
        Err(ClientError::NoSupervisor) => tell(&ClientError::NoSupervisor),
        Err(error) => tell(&error),
    }
}
