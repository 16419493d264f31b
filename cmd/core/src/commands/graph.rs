//! `core graph`

use core_host::api;
use core_host::client::{self, ClientError};
use core_host::paths::Paths;

use super::{ask_status, tell};
use crate::cli::{GraphArgs, GraphFormat};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;
use crate::render::graph::Graph;

pub(crate) async fn run(context: &Context, args: &GraphArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let graph = match running(&paths).await {
        Ok(Some(graph)) => graph,
        Ok(None) => match context.load(&paths) {
            Ok(stack) => Graph::of(api::Graph::of(&stack.topology), None),
            Err(exit) => return exit,
        },
        Err(error) => return tell(&error),
    };
    let lines = match args.format {
        GraphFormat::Text => graph.text(),
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
    };
    render::lines(&lines);
    Exit::Ok
}

/// The graph of the running stack, from its supervisor.
async fn running(paths: &Paths) -> Result<Option<Graph>, ClientError> {
    let status = match ask_status(paths).await {
        Ok(status) => status,
        Err(ClientError::NoSupervisor) => return Ok(None),
        Err(error) => return Err(error),
    };
    let graph: api::Graph = client::get(paths, "/v1/graph").await?;
    Ok(Some(graph).filter(|graph| !graph.services.is_empty()).map(|graph| Graph::of(graph, Some(&status))))
}
