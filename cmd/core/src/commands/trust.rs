//! `core trust`

use core_host::roots::{self, Done, Refused};

use crate::cli::TrustArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, RED, styled};

pub(crate) fn run(context: &Context, args: &TrustArgs) -> Exit {
    match change(context, args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn change(context: &Context, args: &TrustArgs) -> Result<Exit, Exit> {
    let paths = context.paths()?;
    let steps = if args.remove {
        roots::remove(&paths)
    } else {
        let stack = context.load(&paths)?;
        let root = roots::of(&paths, &stack).map_err(|message| {
            render::error(&message);
            Exit::Failed
        })?;
        let Some(root) = root else {
            render::error("the stack has not made a root certificate of its own yet");
            render::help("set \"tls\": \"internal\" in the `config` of the edge, and start it with `core up`");
            return Err(Exit::Failed);
        };
        render::line(&format!("{}: {}", root.subject, paths.shown(&root.file)));
        render::line(&format!("SHA-256 {}", root.fingerprint));
        roots::install(&paths, &root)
    };
    let word = |done: Done| match (done, args.remove) {
        (Done::Changed, false) => "trusts it now",
        (Done::Same, false) => "trusts it already",
        (Done::Changed, true) => "trusts it no longer",
        (Done::Same, true) => "does not have it",
    };
    for step in &steps {
        match &step.outcome {
            Ok(done) => render::line(&format!("{} {} {}", styled(GREEN, "✓"), step.place, word(*done))),
            Err(Refused { why, instead }) => {
                render::line(&format!("{} {} is not changed: {why}", styled(RED, "✗"), step.place));
                render::line(&format!("    {instead}"));
            }
        }
    }
    if steps.iter().any(|step| matches!(step.outcome, Ok(Done::Changed))) {
        render::note("browsers that run see it after their next start");
    }
    Ok(if steps.iter().all(|step| step.outcome.is_ok()) { Exit::Ok } else { Exit::Failed })
}
