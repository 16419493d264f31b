//! Arguments of the commands about releases.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::WaitArgs;
use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The service whose app is deployed. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}
