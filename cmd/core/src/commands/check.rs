//! `core check`

use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled, words};

pub(crate) fn run(context: &Context) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    match context.load(&paths) {
        Ok(stack) => {
            // While a supervisor runs, it writes the file, which shows the manifests that it has applied.
            if !paths.socket().exists()
                && let Err(message) = core_host::compose::write(&paths, &stack)
            {
                render::note(&message);
            }
            for service in stack.secrets_in_command_lines() {
                render::note(&format!(
                    "note: a secret is on the command line of `{service}`, where every user can read it"
                ));
                render::help("pass it in `process.env`");
            }
            let services = words::count(stack.topology.services.len(), "service");
            render::line(&format!("{} {services} of profile {}, no errors", styled(GREEN, "ok"), stack.profile));
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
