//! What may be typed after `core logs`.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Services. Default: all.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) services: Vec<String>,
    /// Keep printing new lines.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show the log of the last build instead: of an app, or of a binary that is built.
    #[arg(long, conflicts_with_all = ["since", "timestamps", "json", "access"])]
    pub(crate) build: bool,
    /// Show the requests that the edge has answered for the services instead, without their queries.
    #[arg(long)]
    pub(crate) access: bool,
    /// With --access: print the Combined Log Format of web servers, for programs that read it.
    #[arg(long, requires = "access", conflicts_with_all = ["json", "timestamps"])]
    pub(crate) combined: bool,
    /// How many of the last lines to show; `all` for all of them.
    #[arg(short = 'n', long, value_name = "LINES", default_value = "200")]
    pub(crate) lines: String,
    /// Show lines since a time (2026-01-31T12:00:00Z) or for a duration until now (10m, 2h).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show the time of each line.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
