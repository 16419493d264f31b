//! Arguments of the commands about releases.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use super::WaitArgs;
use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// An archive of `core build`, instead of the folder.
    #[arg(value_hint = ValueHint::FilePath, conflicts_with = "no_cache")]
    pub(crate) archive: Option<PathBuf>,
    /// The service whose app is deployed. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Build though these sources were built before, without packages and caches of earlier builds.
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: String,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) name: OsString,
    /// spec, run or command, with its options.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, required = true, value_name = "spec|run|command")]
    pub(crate) words: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The file to write: web.tar.zst.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// The service whose app is built. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
}
