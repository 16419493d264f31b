//! `core completions`

use std::io::Write as _;

use crate::cli::{CompletionsArgs, Shell};
use crate::completion;
use crate::exit::Exit;
use crate::render;

pub(crate) fn run(args: &CompletionsArgs) -> Exit {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    match completion::script(shell) {
        Ok(script) => {
            let _ = std::io::stdout().write_all(&script);
            Exit::Ok
        }
        Err(error) => {
            render::error(&format!("the script cannot be made: {error}"));
            Exit::Failed
        }
    }
}
