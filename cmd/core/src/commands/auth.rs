//! `core auth`

use std::fs;
use std::io::{self, IsTerminal as _};

use console::Term;
use core_host::client::ClientError;
use core_host::logins::{self, LoginError};
use core_host::paths::Paths;

use super::{control, plan, refuse_moved, tell_unknown};
use crate::cli::{AuthArgs, AuthCommand, UserArgs, WaitArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

pub(crate) async fn run(context: &Context, args: &AuthArgs) -> Exit {
    let done = match &args.command {
        AuthCommand::Add(user) => add(context, user).await,
        AuthCommand::Remove(user) => remove(context, user).await,
        AuthCommand::List { service } => list(context, service),
    };
    done.unwrap_or_else(|exit| exit)
}

async fn add(context: &Context, args: &UserArgs) -> Result<Exit, Exit> {
    let paths = place(context, &args.service)?;
    logins::check_name(&args.user).map_err(|error| tell(&error))?;
    let password = ask().map_err(|message| {
        render::error(&message);
        Exit::Failed
    })?;
    let is_current = is_current(context, &paths).await;
    let is_new = logins::add(&paths, &args.service, &args.user, &password).map_err(|error| tell(&error))?;
    let word = if is_new { "added" } else { "changed" };
    render::note(&format!("{}: {} of {}", styled(GREEN, word), args.user, args.service));
    Ok(follow(context, is_current).await)
}

async fn remove(context: &Context, args: &UserArgs) -> Result<Exit, Exit> {
    let paths = place(context, &args.service)?;
    let is_current = is_current(context, &paths).await;
    logins::remove(&paths, &args.service, &args.user).map_err(|error| tell(&error))?;
    render::note(&format!("{}: {} of {}", styled(GREEN, "removed"), args.user, args.service));
    Ok(follow(context, is_current).await)
}

fn list(context: &Context, service: &str) -> Result<Exit, Exit> {
    let paths = place(context, service)?;
    let users = logins::list(&paths, service).map_err(|error| tell(&error))?;
    for user in &users {
        render::line(user);
    }
    if users.is_empty() {
        render::note(&format!("{service} has no users yet: core auth add {service} NAME"));
    }
    Ok(Exit::Ok)
}

/// The folders of the stack. The manifests may be wrong: a service that is for users has to get the first one.
fn place(context: &Context, service: &str) -> Result<Paths, Exit> {
    let paths = context.paths()?;
    refuse_moved(&paths)?;
    let folders = fs::read_dir(paths.root.join("services")).into_iter().flatten().flatten();
    let services: Vec<String> = folders
        .filter(|folder| folder.path().join("service.json").exists())
        .filter_map(|folder| folder.file_name().into_string().ok())
        .collect();
    if services.iter().any(|name| name == service) {
        return Ok(paths);
    }
    Err(tell_unknown(service, services.iter().map(String::as_str)))
}

/// The password: asked for twice, or a line of what comes in.
fn ask() -> Result<String, String> {
    let failed = |error: io::Error| format!("the password cannot be read: {error}");
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(failed)?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
    }
    let terminal = Term::stderr();
    let read = |question: &str| terminal.write_str(question).and_then(|()| terminal.read_secure_line()).map_err(failed);
    let password = read("password: ")?;
    if password != read("once more: ")? {
        return Err("the two passwords differ; nothing was changed".into());
    }
    Ok(password)
}

/// Whether the stack runs and is what the manifests say, so that what follows is of this change alone; `None` if it does not
/// run.
async fn is_current(context: &Context, paths: &Paths) -> Option<bool> {
    match plan::ask(paths, context.asked_profile().as_deref()).await {
        Ok(answer) => Some(answer.plan.is_some_and(|plan| plan.is_empty())),
        Err(ClientError::NoSupervisor) => None,
        Err(_) => Some(false),
    }
}

/// Has a change take effect, if nothing else would with it.
async fn follow(context: &Context, is_current: Option<bool>) -> Exit {
    match is_current {
        None => Exit::Ok,
        Some(true) => control::apply(context, &WaitArgs { timeout: None }).await,
        Some(false) => {
            render::note(
                "the manifests have other changes, too: `core plan` shows them; `core apply` applies all of it",
            );
            Exit::Ok
        }
    }
}

fn tell(error: &LoginError) -> Exit {
    render::error(&error.to_string());
    match error {
        LoginError::File(_) => render::help("see to it that the user who runs core may read and write .secrets/"),
        LoginError::Unknown(_) => render::help("`core auth list SERVICE` lists them"),
        _ => {}
    }
    Exit::Failed
}
