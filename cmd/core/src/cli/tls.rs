//! Arguments of `core tls` and `core trust`.

use clap::{Args, Subcommand};
use core_host::reach::PORTS;

#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    #[command(subcommand)]
    pub(crate) command: TlsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// Check whether names lead to this host, as clients and CAs see it: DNS, ports, certificates
    ///
    /// The running edge shows where a name leads; while it does not run, its ports are opened for the time of the check. Exits
    /// with 1 if something is wrong.
    Check(TlsCheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TlsCheckArgs {
    /// Names. Default: all names of the stack that are to have a certificate.
    pub(crate) hosts: Vec<String>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Address of the name server to ask. Default: those of this host, which may tell it other addresses than the world.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) resolver: Option<String>,
    /// The port that the world reaches the names at, without certificates.
    #[arg(long, value_name = "PORT", default_value_t = PORTS.0)]
    pub(crate) http_port: u16,
    /// The port that the world reaches the names at, with certificates.
    #[arg(long, value_name = "PORT", default_value_t = PORTS.1)]
    pub(crate) https_port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Take it away again, wherever it was added for this stack.
    #[arg(long)]
    pub(crate) remove: bool,
}
