//! `core graph`

use core_host::client::ClientError;
use core_host::journal::Journal;

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
    // Of a stack that runs, what it runs by; an edit that was not applied is no part of it yet.
    let graph = match ask_status(&paths).await {
        Ok(status) => Journal::new(&paths)
            .read()
            .map(|remembered| remembered.saved.topology())
            .filter(|topology| !topology.services.is_empty())
            .map(|topology| Graph::of(&topology, Some(&status))),
        Err(ClientError::NoSupervisor) => None,
        Err(error) => return tell(&error),
    };
    let graph = match graph {
        Some(graph) => graph,
        None => match context.load(&paths) {
            Ok(stack) => Graph::of(&stack.topology, None),
            Err(exit) => return exit,
        },
    };
    let lines = match args.format {
        GraphFormat::Text => graph.text(),
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
    };
    render::lines(&lines);
    Exit::Ok
}
