//! The log of core itself: `-v` and `CORE_LOG`.

use core_host::own_log::Settings;
use tracing::Level;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::render;

/// The variable that sets what is logged.
const VARIABLE: &str = "CORE_LOG";

/// Starts the log of this process, and passes `-v` on to a supervisor that this command may start.
///
/// # Safety
/// The process must have only one thread.
pub(crate) unsafe fn start(cli: &Cli) -> Result<(), Exit> {
    let variable = std::env::var(VARIABLE).ok();
    let is_supervisor = matches!(cli.command, Command::Supervise(_));
    let default = if is_supervisor { Level::INFO } else { Level::WARN };
    match Settings::new(variable.as_deref(), cli.verbose, default) {
        Ok(settings) => settings.start(),
        // An invalid variable must not keep a stack from running.
        Err(why) if is_supervisor => {
            Settings::new(None, cli.verbose, default).map(Settings::start).unwrap_or_default();
            tracing::warn!("{VARIABLE}: {why}");
        }
        Err(why) => {
            render::error(&format!("{VARIABLE}: {why}"));
            return Err(Exit::Usage);
        }
    }
    if cli.verbose > 0 && matches!(cli.command, Command::Up(_)) {
        let level = if cli.verbose > 1 { "trace" } else { "debug" };
        // The variable still applies to everything that `-v` does not set.
        let value = variable.map_or_else(|| level.to_owned(), |before| format!("{before},{level}"));
        // SAFETY: the caller has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(VARIABLE, value) };
    }
    Ok(())
}
