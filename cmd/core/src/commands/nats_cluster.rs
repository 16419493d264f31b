//! `core nats-cluster`: run for the driver of kind nats, not by people.

use core_host::nats::{self, Joining, Leaving, Place};

use crate::cli::{NatsClusterArgs, NatsClusterStep, NatsServerArgs};
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(args: NatsClusterArgs) -> Exit {
    match args.step {
        NatsClusterStep::Join { client, monitor, store } => {
            match nats::join(&Joining { client, monitor, store }).await {
                Ok(names) if names.is_empty() => done("nothing to take up"),
                Ok(names) => done(&format!("taken up: {}", names.join(", "))),
                Err(message) => failed(&message),
            }
        }
        NatsClusterStep::Leave { server } => leave(server, None).await,
        NatsClusterStep::LeaveHub { server, hub, number, client, monitor, password } => {
            leave(server, Some(Place { hub, number, client, monitor, password })).await
        }
    }
}

async fn leave(server: NatsServerArgs, cluster: Option<Place>) -> Exit {
    let NatsServerArgs { pid_file, store } = server;
    match nats::leave(&Leaving { pid_file, store, cluster }).await {
        Ok(()) => Exit::Ok,
        Err(message) => failed(&message),
    }
}

fn done(message: &str) -> Exit {
    render::line(message);
    Exit::Ok
}

fn failed(message: &str) -> Exit {
    render::error(message);
    Exit::Failed
}
