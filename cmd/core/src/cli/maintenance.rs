//! Arguments of `core maintenance`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use core_stack::drivers::HOLDS;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    pub(crate) command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Answer 503 from now on, with maintenance.html from the folder of the service or a plain page
    ///
    /// It stays so over restarts of the stack, until `core maintenance off`. A link is printed that lets a browser in.
    On {
        /// Services. Default: all that have a route.
        #[arg(add = ArgValueCandidates::new(completion::services))]
        services: Vec<String>,
        /// Hold each request for up to so many seconds first: if the maintenance ends in that time, it is answered as usual.
        #[arg(long, value_name = "SECONDS", value_parser = holds())]
        hold: Option<String>,
        /// A network whose clients are answered as usual, such as 10.0.0.0/8; may be repeated.
        #[arg(long, value_name = "NETWORK")]
        allow: Vec<String>,
    },
    /// Answer as usual again
    Off {
        /// Services. Default: all that have a route.
        #[arg(add = ArgValueCandidates::new(completion::services))]
        services: Vec<String>,
    },
}

/// The times that the edge knows.
fn holds() -> PossibleValuesParser {
    PossibleValuesParser::new(HOLDS.map(|seconds| seconds.to_string()))
}
