//! Shell completion. The shell's script runs `core` with the words typed so far, so that services and profiles are
//! completed too, always those of the stack that these words select.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use core_host::load;
use core_host::paths::{self, Paths};

use crate::cli::Cli;
use crate::exit::Exit;

/// The variable through which the script asks. It is internal to core, so no service ever sees it.
const VARIABLE: &str = "CORE_COMPLETE";

/// Answers the shell's script, if it was the script that ran this program.
pub(crate) fn answer() -> Option<Exit> {
    let here = std::env::current_dir().ok();
    match CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(Exit::Ok),
        // A message on standard error would appear in the middle of the command line being typed.
        Err(_) => Some(Exit::Failed),
    }
}

/// The script of a shell. It runs this program itself: the wrapper `core` may build first, at every press of Tab.
pub(crate) fn script(shell: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or(io::ErrorKind::NotFound)?;
    let program = std::env::current_exe()?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "core", "core", &program.to_string_lossy(), &mut script)?;
    Ok(script)
}

/// All commands, and each service as one more.
fn command() -> Command {
    let explain = || Arg::new("explain").long("explain").action(ArgAction::SetTrue);
    service_names().into_iter().fold(Cli::command(), |cli, name| {
        // clap wants names with a static lifetime; this process exits soon, so the leak does not matter.
        let name: &'static str = name.leak();
        let one = Command::new(name)
            .about("One service")
            .subcommand(Command::new("spec").about("What its manifest came to").arg(explain()))
            .subcommand(Command::new("run").about("Run it here, in the foreground, without the rest of the stack"))
            .subcommand(Command::new("command").about("Its command line, as a shell would take it"));
        cli.subcommand(one)
    })
}

/// The services of the selected stack.
pub(crate) fn services() -> Vec<CompletionCandidate> {
    service_names().into_iter().map(CompletionCandidate::new).collect()
}

/// The services, each as the start of `SERVICE=REPLICAS`.
pub(crate) fn scales() -> Vec<CompletionCandidate> {
    service_names().into_iter().map(|name| CompletionCandidate::new(format!("{name}="))).collect()
}

/// The profiles of the selected stack.
pub(crate) fn profiles() -> Vec<CompletionCandidate> {
    let Some(root) = root() else { return Vec::new() };
    load::profiles(&root.join("manifests")).into_iter().map(CompletionCandidate::new).collect()
}

/// The services of the selected stack, by the names of their folders.
fn service_names() -> Vec<String> {
    root().map(|root| paths::service_names(&root)).unwrap_or_default()
}

/// The root that was typed, or that of the environment, or the nearest one upwards.
fn root() -> Option<PathBuf> {
    let typed = typed_root(std::env::args_os().skip_while(|word| word != "--"));
    let named = typed.or_else(|| std::env::var_os("CORE_ROOT")).filter(|root| !root.is_empty());
    named.map(PathBuf::from).or_else(|| Paths::find_root(&std::env::current_dir().ok()?))
}

fn typed_root(words: impl Iterator<Item = OsString>) -> Option<OsString> {
    let mut words = words;
    while let Some(word) = words.next() {
        let word = word.to_string_lossy();
        if word == "--root" {
            // bash passes `=` as a word of its own.
            return words.find(|word| word != "=");
        }
        if let Some(root) = word.strip_prefix("--root=") {
            return Some(root.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_among_the_words() {
        let root = |line: &str| typed_root(line.split(' ').map(OsString::from));
        assert_eq!(root("core --root /x up w"), Some("/x".into()));
        assert_eq!(root("core up --root=/x w"), Some("/x".into()));
        assert_eq!(root("core --root = /x up w"), Some("/x".into()));
        assert_eq!(root("core up w"), None);
    }
}
