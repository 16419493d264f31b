//! Arguments of `core auth`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    pub(crate) command: AuthCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Add a user, or change the password of one
    ///
    /// The password is asked for twice on a terminal; else it is the first line of standard input. Only its hash is kept, in
    /// .secrets/SERVICE-users.
    Add(UserArgs),
    /// Remove a user
    Remove(UserArgs),
    /// List the users of a service
    List {
        /// The service; the edge for users of every service.
        #[arg(add = ArgValueCandidates::new(completion::services))]
        service: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The service; the edge for users of every service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: String,
    /// The name of the user.
    pub(crate) user: String,
}
