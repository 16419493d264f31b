//! `core actions-key`

use core_host::releases;

use super::build;
use crate::cli::{ActionsKeyArgs, ActionsKeyCommand, RotateArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

pub(crate) async fn run(context: &Context, args: &ActionsKeyArgs) -> Exit {
    let ActionsKeyCommand::Rotate(args) = &args.command;
    rotate(context, args).await.unwrap_or_else(|exit| exit)
}

/// Makes a new key, and says what follows.
async fn rotate(context: &Context, args: &RotateArgs) -> Result<Exit, Exit> {
    let paths = context.paths()?;
    // Where an app is developed, the releases are made with the profile production.
    let (service, wanted) = build::of_production(context, &paths, args.service.as_deref())?;
    if let Err(error) = releases::rotate(&paths, &service, &wanted, args.at_once).await {
        render::error(&error);
        render::help("set another key where that one is set, and deploy");
        return Ok(Exit::Failed);
    }
    render::note(&format!("{}: the key of the server actions of {service}", styled(GREEN, "rotated")));
    render::note("nothing that runs has changed; `core deploy` builds a release with the new key");
    render::note(&if args.at_once {
        "from then on, what pages of the former key send is refused".to_owned()
    } else {
        let hours = releases::WINDOW.as_hours();
        format!("that release and later ones honour the former key for {hours} hours, from the first one on")
    });
    Ok(Exit::Ok)
}
