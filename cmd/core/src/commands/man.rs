//! `core man`

use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::exit::Exit;
use crate::render::{self, words};

pub(crate) fn run(args: &ManArgs) -> Exit {
    let result = match &args.dir {
        Some(folder) => write(folder),
        None => print(),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(error) => {
            render::error(&format!("the manual cannot be written: {error}"));
            Exit::Failed
        }
    }
}

fn print() -> io::Result<()> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    // A reader that closes the pipe is not an error.
    let _ = io::stdout().write_all(&page);
    Ok(())
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    render::line(&format!("{} in {}", words::count(pages(&Cli::command()), "page"), folder.display()));
    Ok(())
}

/// The number of pages: one for the command and one for each command below it.
fn pages(command: &Command) -> usize {
    1 + command.get_subcommands().filter(|command| !command.is_hide_set()).map(pages).sum::<usize>()
}
