//! Arguments of `core generate-ci`.

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct CiArgs {
    /// Where the repository is.
    #[arg(value_enum)]
    pub(crate) forge: Forge,
    /// The service whose app is deployed. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Print it instead of writing the file.
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forge {
    /// .github/workflows/deploy.yml
    Github,
    /// .gitlab-ci.yml
    Gitlab,
}
