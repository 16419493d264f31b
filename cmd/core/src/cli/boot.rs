//! Arguments of `core boot`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct BootArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BootCommand>,
    /// What starts programs on this host. Default: the one that is in use.
    #[arg(long, value_enum, global = true)]
    pub(crate) manager: Option<BootManager>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BootCommand {
    /// Start the stack with the host from now on, in the profile that it runs with
    On,
    /// Do not start it any more; a stack that runs is left alone
    Off,
    /// Print what is written, and whether it is in its place
    Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BootManager {
    /// A unit: of the system for root, else of the user's own systemd.
    Systemd,
    /// A script in /etc/init.d.
    Openrc,
    /// A line `@reboot` of the crontab.
    Cron,
}
