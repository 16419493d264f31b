//! Arguments of commands that core itself runs, and no person.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct SuperviseArgs {
    #[arg(long = "service")]
    pub(crate) services: Vec<String>,
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// Which launch it belongs to; see `core_host::launch::Launch`.
    #[arg(long, default_value_t = 0)]
    pub(crate) launch: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ServeFilesArgs {
    pub(crate) release: PathBuf,
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ServeLimitsArgs {
    pub(crate) file: PathBuf,
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) link: PathBuf,
    #[arg(long)]
    pub(crate) for_user: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PrecompressArgs {
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct NatsClusterArgs {
    #[command(subcommand)]
    pub(crate) step: NatsClusterStep,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NatsClusterStep {
    /// Take up the streams that a server had stored before it was one of a cluster
    Join {
        #[arg(long)]
        client: String,
        #[arg(long)]
        monitor: String,
        #[arg(long)]
        store: PathBuf,
    },
    /// End a server; when it is removed, it lets its clients go first
    Leave {
        #[command(flatten)]
        server: NatsServerArgs,
    },
    /// End a server of a cluster; when it is removed, it hands over its streams first, too
    LeaveHub {
        #[command(flatten)]
        server: NatsServerArgs,
        #[arg(long)]
        hub: String,
        #[arg(long)]
        number: u32,
        #[arg(long)]
        client: String,
        #[arg(long)]
        monitor: String,
        #[arg(long, env = "NATS_SYSTEM_PASSWORD", hide_env_values = true)]
        password: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NatsServerArgs {
    #[arg(long)]
    pub(crate) pid_file: PathBuf,
    #[arg(long)]
    pub(crate) store: PathBuf,
}
