//! `core init`

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use core_host::project;
use core_stack::init::propose;

use crate::cli::InitArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, BOLD, DIM, styled};

pub(crate) fn run(context: &Context, args: &InitArgs) -> Exit {
    let root = args.folder.clone().or_else(|| context.asked_root()).unwrap_or_else(|| PathBuf::from("."));
    if !root.is_dir() {
        render::error(&format!("{} is not a folder", root.display()));
        return Exit::Usage;
    }
    let proposal = match propose(&project::read(&root)) {
        Ok(proposal) => proposal,
        Err(why) => {
            render::error(&why);
            render::help("write services/<name>/service.json, for example {\"process\": {\"command\": \"./serve\"}}");
            return Exit::Failed;
        }
    };
    for line in &proposal.found {
        render::line(&format!("found {line}"));
    }
    let mut shown: Vec<&str> = proposal.files.iter().map(|(path, _)| path.as_str()).collect();
    if !proposal.ignored.is_empty() {
        shown.push(".gitignore");
    }
    render::line(&format!("writes {}", shown.join(", ")));
    for line in &proposal.listed {
        render::line(&styled(DIM, &format!("not taken over: {line}")));
    }
    if !args.yes && !agrees() {
        render::note("nothing was written");
        return Exit::Failed;
    }
    match project::write(&root, &proposal) {
        Ok(kept) => {
            for path in kept {
                render::note(&format!("{path} is there already, and is left as it is"));
            }
        }
        Err(why) => {
            render::error(&why);
            return Exit::Failed;
        }
    }
    let folder = args.folder.as_ref().map_or_else(String::new, |folder| format!("cd {}; ", folder.display()));
    render::line(&format!("next: {}", styled(BOLD, &format!("{folder}core up"))));
    Exit::Ok
}

/// Asks, where somebody can answer; else it takes `--yes`.
fn agrees() -> bool {
    if !std::io::stdin().is_terminal() {
        render::help("core init --yes writes them without asking");
        return false;
    }
    render::note("write these files? [Y/n]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok_and(|length| length > 0) && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}
