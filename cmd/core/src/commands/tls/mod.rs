//! `core tls`

mod shown;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use core_host::api::Status;
use core_host::paths::Paths;
use core_host::reach::{self, PORTS, Question, Report};
use core_manifest::network::is_host_name;
use serde_json::json;

use crate::cli::{TlsArgs, TlsCheckArgs, TlsCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

/// The port of name servers.
const DNS: u16 = 53;
/// How long `core up` looks at names that have no certificate yet.
const BRIEFLY: Duration = Duration::from_secs(3);
/// What is not yet so when the edge has just started, and no fault then.
const NOT_YET: &str = "no-certificate";

pub(crate) async fn run(context: &Context, args: &TlsArgs) -> Exit {
    let TlsCommand::Check(args) = &args.command;
    match check(context, args).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn check(context: &Context, args: &TlsCheckArgs) -> Result<Exit, Exit> {
    let paths = context.paths()?;
    let resolver = args.resolver.as_deref().map(server).transpose()?;
    if let Some(wrong) = args.hosts.iter().find(|host| !is_host_name(host.trim_end_matches('.'))) {
        render::error(&format!("`{wrong}` is not a host name"));
        return Err(Exit::Usage);
    }
    let stack = context.load(&paths)?;
    let names = if args.hosts.is_empty() { reach::names(&stack) } else { args.hosts.clone() };
    if names.is_empty() {
        render::error(&format!(
            "with the profile {}, the stack has not a name that is to have a certificate",
            stack.profile
        ));
        render::help("name the hosts to check, or the profile: --profile production; or see \"HTTPS\" in the README");
        return Err(Exit::Usage);
    }
    let names = names.iter().map(|name| name.trim_end_matches('.').to_lowercase()).collect();
    let question = Question { names, resolver, ports: (args.http_port, args.https_port) };
    let report = reach::examine(&paths, &stack, &question).await.map_err(|error| {
        render::error(&format!("the check cannot be made: {error}"));
        Exit::Failed
    })?;
    if args.json {
        let answer = json!({"ok": report.is_ok(), "answering": report.answering, "names": report.names, "faults": report.faults});
        render::line(&serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        render::lines(&shown::lines(&report, render::width()));
    }
    Ok(if report.is_ok() { Exit::Ok } else { Exit::Failed })
}

/// Says what keeps names from their first certificate. It takes a moment at most, and never fails.
pub(crate) async fn warn(context: &Context, paths: &Paths, status: &Status) {
    let missing = status.certificates.iter().filter(|one| one.not_after.is_none()).map(|one| &one.name);
    let missing: Vec<&String> = missing.collect();
    let Some(stack) = Some(()).filter(|()| !missing.is_empty()).and_then(|()| context.load(paths).ok()) else { return };
    // A CA of one's own may reach names at other ports.
    let names: Vec<String> = reach::names(&stack).into_iter().filter(|name| missing.contains(&name)).collect();
    if names.is_empty() || !reach::is_of_the_world(&stack) {
        return;
    }
    let question = Question { names, resolver: None, ports: PORTS };
    let Ok(Ok(report)) = tokio::time::timeout(BRIEFLY, reach::examine(paths, &stack, &question)).await else { return };
    tell(&report);
}

fn tell(report: &Report) {
    let of_names =
        report.names.iter().flat_map(|name| name.records.iter().flat_map(|one| &one.faults).chain(&name.faults));
    let faults: Vec<_> = report.faults.iter().chain(of_names).filter(|fault| fault.code != NOT_YET).collect();
    for fault in &faults {
        render::note(&format!("warning: {}", fault.message));
    }
    if !faults.is_empty() {
        render::help("`core tls check` says what to do");
    }
}

/// The name server of this address.
fn server(text: &str) -> Result<SocketAddr, Exit> {
    let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
    text.parse().or_else(|_| alone()).map_err(|_| {
        render::error(&format!("`{text}` is not the address of a name server"));
        render::help("for example --resolver 192.0.2.1, or --resolver [2001:db8::1]:53");
        Exit::Usage
    })
}
