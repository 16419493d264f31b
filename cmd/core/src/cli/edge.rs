//! Arguments of commands about the edge.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Services. Default: all.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) services: Vec<String>,
    /// Print the figures of the last seconds once, as they are also printed where the output is not a terminal.
    #[arg(long)]
    pub(crate) once: bool,
    /// The same as JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many of the last seconds count.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) window: u32,
}
