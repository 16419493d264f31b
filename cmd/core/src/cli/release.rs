//! Arguments of the commands about releases.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use super::WaitArgs;
use crate::completion;

#[derive(Clone, Debug, Args)]
pub(crate) struct DeployArgs {
    /// The folder of an app of this stack; or, instead of its sources, an archive of `core build`, or - for one that comes
    /// on standard input.
    #[arg(value_name = "FOLDER|ARCHIVE", value_hint = ValueHint::AnyPath)]
    pub(crate) archive: Option<PathBuf>,
    /// The service whose app is deployed. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Build though these sources were built before, without packages and caches of earlier builds.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Deploy on another host, over ssh: user@server, or user@server:ROOT. The release is built here, with the variables of
    /// the profile production where there is one. Several are deployed to one after the other, up to the first that fails.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["if_changed", "no_cache", "upload"])]
    pub(crate) host: Vec<String>,
    /// What comes on standard input, as SHA256:BYTES: prints `have N`, and takes the rest from there.
    #[arg(long, hide = true, requires = "archive")]
    pub(crate) upload: Option<String>,
    /// What it is for: shown by `core releases` and `core history`.
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Do nothing if nothing has changed since the release that is wanted: of the files that `config.watch_paths` names, if
    /// it names any, and of the variables of the build.
    #[arg(long, conflicts_with = "no_cache")]
    pub(crate) if_changed: bool,
    /// Only build and land the release; the service does not switch to it. `core deploy` of the same sources does.
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Run the release beside the live one, as a preview of this name: under NAME.HOST for each host of the service, and
    /// under NAME.SERVICE.localhost. People need a password, which is printed.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_switch", "canary", "if_changed"])]
    pub(crate) preview: Option<String>,
    /// Let everybody see the preview, without a password.
    #[arg(long, requires = "preview")]
    pub(crate) public: bool,
    /// Send a share of the clients to the release, beside the live one: 5%. Each client stays where it is. `core promote`
    /// makes it the live one, `core rollback` ends it; it ends by itself where it does worse.
    #[arg(long, value_name = "SHARE", value_parser = percent, conflicts_with_all = ["no_switch", "if_changed"])]
    pub(crate) canary: Option<u32>,
    /// End deploys of the same service whose releases are not there yet: this one takes their place.
    #[arg(long)]
    pub(crate) supersede: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// A share, in percent: 5% or 5.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number.parse().ok().filter(|percent| (1..=99).contains(percent)).ok_or_else(|| "not 1% to 99%".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The name of the preview, or `canary`. Default: the canary, else the only preview.
    pub(crate) name: Option<String>,
    /// The service. Default: any that has it.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Take it though it was built with other values of variables than the service has.
    #[arg(long)]
    pub(crate) as_built: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewsArgs {
    /// Only those of this service.
    #[arg(long, global = true, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<PreviewsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PreviewsCommand {
    /// End a preview, or the canary
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BootstrapArgs {
    /// The hosts: user@server, or user@server:ROOT, whose folder is made.
    #[arg(long, value_name = "HOST", required = true)]
    pub(crate) host: Vec<String>,
    /// The program to copy. Default: this one.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) program: Option<PathBuf>,
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

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// A folder with an app that was built; or a release, or its first or last characters. Default: the live release, or
    /// the app in this folder.
    #[arg(value_name = "FOLDER|RELEASE", value_hint = ValueHint::DirPath)]
    pub(crate) what: Option<String>,
    /// The service whose release it is.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Print JSON: the payload. `core schema payload` prints its schema.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Forget what is cached: of these paths and tags, or everything; all replicas render it anew
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ActionsKeyArgs {
    #[command(subcommand)]
    pub(crate) command: ActionsKeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ActionsKeyCommand {
    /// Make a new key: releases that are built from now on use it, and honour the former one for a day
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The service whose app it is. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Honour no former key, as when somebody else has it: forms of pages that are open are refused after the next deploy.
    #[arg(long)]
    pub(crate) at_once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// A path of the app, such as /blog/first, or a tag. Default: everything.
    #[arg(value_name = "PATH|TAG")]
    pub(crate) what: Vec<String>,
    /// The service whose app it is. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The release, or its first or last characters. Default: the newest that served well before the one that is wanted.
    pub(crate) release: Option<String>,
    /// The service whose app goes back. Default: the only one that has releases.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReleasesArgs {
    /// Only those of this service.
    #[arg(long, global = true, value_name = "SERVICE", add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<ReleasesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleasesCommand {
    /// Keep a release until it is unpinned
    Pin(ReleaseArgs),
    /// Let a release be deleted when it is old
    Unpin(ReleaseArgs),
    /// Delete a release that nothing needs
    Remove(ReleaseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The release, or its first or last characters.
    pub(crate) release: String,
}
