//! `core previews`

use core_host::api::{EndTrialRequest, Status, TrialStatus};
use core_host::paths::Paths;
use core_host::releases;
use serde_json::json;

use super::sight::{self, Ended};
use super::{ask_progress, refuse_moved, tell};
use crate::cli::{PreviewsArgs, PreviewsCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out_within};
use crate::render::{self, DIM, GREEN, styled};

/// How long to wait for the end of a preview, in seconds.
const PATIENCE: f64 = 120.0;

pub(crate) async fn run(context: &Context, args: &PreviewsArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let status = match ask_progress(&paths).await {
        Ok(status) => status,
        Err(error) => return tell(&error),
    };
    let is_meant = |one: &&TrialStatus| args.service.as_ref().is_none_or(|service| one.service == *service);
    let trials: Vec<&TrialStatus> = status.trials.iter().filter(is_meant).collect();
    match &args.command {
        Some(PreviewsCommand::Remove { name }) => remove(&paths, &trials, name).await,
        None if args.json => {
            let all: Vec<serde_json::Value> = trials.iter().map(|one| as_json(one, &status)).collect();
            render::line(&serde_json::to_string_pretty(&json!({"previews": all})).unwrap_or_default());
            Exit::Ok
        }
        None => {
            show(&paths, &trials, &status);
            Exit::Ok
        }
    }
}

async fn remove(paths: &Paths, trials: &[&TrialStatus], name: &str) -> Exit {
    if let Err(exit) = refuse_moved(paths) {
        return exit;
    }
    let named: Vec<&&TrialStatus> = trials.iter().filter(|one| one.name == name).collect();
    let [one] = named[..] else {
        let (message, help) = if named.is_empty() {
            (format!("there is no preview `{name}`"), "`core previews` lists them")
        } else {
            (format!("several services have a `{name}`"), "say which with --service")
        };
        render::error(&message);
        render::help(help);
        return Exit::Usage;
    };
    let request = EndTrialRequest { service: one.service.clone(), name: one.name.clone() };
    match sight::carry_out(paths, "end-trial", &request, PATIENCE, "").await {
        Ended::Done => {
            render::note(&format!("{}: {} {}", styled(GREEN, "removed"), one.service, one.name));
            Exit::Ok
        }
        Ended::Failed(exit) | Ended::GoesOn(exit) => exit,
    }
}

/// Where a preview is seen.
pub(crate) fn urls(one: &TrialStatus, status: &Status) -> Vec<String> {
    addresses(&one.hosts, one.path.trim_end_matches('/'), status)
}

/// The addresses of a path of these hosts, at the edge.
pub(crate) fn addresses(hosts: &[String], path: &str, status: &Status) -> Vec<String> {
    let url = status.url.clone().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", ""));
    let port = rest.rsplit_once(':').map_or_else(String::new, |(_, port)| format!(":{}", port.trim_end_matches('/')));
    hosts.iter().map(|host| format!("{scheme}://{host}{port}{path}")).collect()
}

/// What becomes of a trial now: asleep, or the name of the phase of its newest instance.
fn state(one: &TrialStatus, status: &Status) -> String {
    let service = format!("{}~{}", one.service, one.name);
    let newest =
        status.instances.iter().filter(|instance| instance.service == service).max_by_key(|one| one.generation);
    newest.map_or_else(
        || "starting".to_owned(),
        |instance| match instance.reason.as_deref() {
            Some("idle") => "asleep".to_owned(),
            _ => instance.phase.word().to_owned(),
        },
    )
}

fn as_json(one: &TrialStatus, status: &Status) -> serde_json::Value {
    json!({
        "service": one.service, "name": one.name, "release": one.release, "state": state(one, status),
        "urls": urls(one, status), "percent": one.percent, "public": one.public, "at": one.at,
    })
}

fn show(paths: &Paths, trials: &[&TrialStatus], status: &Status) {
    if trials.is_empty() {
        render::line("there are no previews; `core deploy --preview NAME` makes one");
        return;
    }
    let row = |one: &&TrialStatus| {
        let sees = match one.percent {
            Some(percent) => format!("{percent} % of the clients"),
            None => urls(one, status).first().cloned().unwrap_or_default(),
        };
        vec![
            Cell::new(one.service.clone()),
            Cell::new(one.name.clone()),
            Cell::new(one.release.clone().unwrap_or_default()),
            Cell::new(state(one, status)),
            Cell::new(sees),
        ]
    };
    let rows: Vec<Vec<Cell>> = trials.iter().map(row).collect();
    render::lines(
        &lay_out_within(&["SERVICE", "NAME", "RELEASE", "STATE", "SEEN AT"], &rows, render::width(), &[]).concat(),
    );
    let mut services: Vec<&str> = trials.iter().filter(|one| !one.public).map(|one| one.service.as_str()).collect();
    services.dedup();
    for service in services {
        render::line(&styled(DIM, &password(paths, service)));
    }
}

/// What people need to see a preview.
pub(crate) fn password(paths: &Paths, service: &str) -> String {
    match releases::preview_password(paths, service) {
        Ok(password) => format!("previews of {service}: user {}, password {password}", releases::PREVIEW_USER),
        Err(error) => format!("previews of {service}: their password cannot be read: {error}"),
    }
}
