//! NATS: one server, or a hub with linked servers in other regions.
//!
//! - `members`: the servers that a manifest stands for; each is a service of its own.
//! - `conf`: the configuration of each server.
//! - `streams`: what happens to the streams when a server joins or leaves a cluster.

mod conf;
mod members;
pub mod streams;

use std::time::Duration;

use core_engine::driver::{Expansion, SecretRequest, Surroundings};
use core_manifest::spec::{Condition, GeneratedFile, Restart};
use core_manifest::template::Piece;
use core_manifest::{Diagnostic, ServiceName, ServiceSpec, Template};

pub use conf::{SYSTEM_PASSWORD, SYSTEM_USER};
pub use members::{Fault, Member, Role, join_of, members};

/// Default values for manifests of this kind.
pub const DEFAULTS: &str = include_str!("defaults.json");

/// File name of the configuration in the run folder.
pub const CONFIG: &str = "nats.conf";

/// The password of a hub's system account; only core uses it.
pub const SECRET: SecretRequest = SecretRequest { variable: SYSTEM_PASSWORD, file: "nats-system", announcement: None };

/// Stop timeout of a server with lame duck times of 30 s and 2 s.
const LAME_DUCK: Duration = Duration::from_secs(45);
/// Stop timeout of a server that hands over its streams first.
const LEAVING: Duration = Duration::from_secs(120);

/// Completes a NATS server: its configuration, from its ports, and how it joins and leaves a cluster.
///
/// # Errors
/// When a port that it needs is missing.
pub fn expand(
    mut spec: ServiceSpec,
    member: Option<&Member>,
    password: &Template,
    around: Surroundings<'_>,
) -> Expansion {
    let contents = conf::write(&spec, member, around).map_err(|port| missing(&spec.name, port))?;
    spec.files.push(GeneratedFile { path: Template::literal(CONFIG), contents });
    spec.store = Some(conf::store(&spec, member, around));
    let Some(member) = member else { return Ok(vec![spec]) };
    if spec.replicas > 1 {
        let message = format!("`{}` is hub-spoke, so it has no replicas", member.manifest);
        let help = "take `replicas` away; `config.deployment` says how many servers there are";
        return Err(vec![Diagnostic::new("bad-config", message).service(spec.name.as_str()).help(help)]);
    }
    let Role::Hub { number, clustered } = member.role else {
        spec.shutdown.command = Some(leave(&spec, member, None, around));
        spec.shutdown.timeout = spec.shutdown.timeout.max(LAME_DUCK);
        return Ok(vec![spec]);
    };
    if !clustered {
        return Ok(vec![spec]);
    }
    spec.env.entry(SYSTEM_PASSWORD.to_owned()).or_insert_with(|| password.clone());
    let first = members::hub(&member.manifest, 1).map_err(|rule| internal(&spec.name, &rule))?;
    let client = conf::address_of_other(&first, "client", around).ok_or_else(|| missing(&first, "client"))?;
    spec.shutdown.command = Some(leave(&spec, member, Some((number, &client)), around));
    spec.shutdown.timeout = spec.shutdown.timeout.max(LEAVING);
    if number > 1 {
        // So they leave one after the other, the last one first, and the first server is touched last.
        let before = members::hub(&member.manifest, number - 1).map_err(|rule| internal(&spec.name, &rule))?;
        spec.depends_on.entry(before).or_insert(Condition::ProcessStarted);
        return Ok(vec![spec]);
    }
    let monitor = conf::address_of_other(&first, "monitor", around).ok_or_else(|| missing(&first, "monitor"))?;
    let join = join(member, &client, &monitor, &conf::store(&spec, Some(member), around), around)
        .map_err(|rule| internal(&spec.name, &rule))?;
    Ok(vec![spec, join])
}

/// The one-shot that restores the streams that the first server had stored before it was in a cluster.
fn join(
    member: &Member,
    client: &str,
    monitor: &str,
    store: &str,
    around: Surroundings<'_>,
) -> Result<ServiceSpec, String> {
    let mut spec = ServiceSpec::bare(members::join_of(&member.manifest)?, around.core);
    spec.description = Some("Takes up the streams that were stored before there was a cluster".into());
    let args = ["nats-cluster", "join", "--client", client, "--monitor", monitor, "--store", store];
    spec.args = args.into_iter().map(Template::literal).collect();
    spec.depends_on = [(member.name.clone(), Condition::ProcessStarted)].into();
    spec.availability.restart = Restart::OnFailure;
    Ok(spec)
}

/// The command that asks a server to stop: if it is being removed, it first hands over its streams and its clients.
fn leave(spec: &ServiceSpec, member: &Member, hub: Option<(u32, &str)>, around: Surroundings<'_>) -> Template {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let store = conf::store(spec, Some(member), around);
    let step = if hub.is_some() { "leave-hub" } else { "leave" };
    let mut pieces = vec![
        Piece::Text(format!(
            "exec {} nats-cluster {step} --store {} --pid-file '",
            quoted(around.core),
            quoted(&store)
        )),
        Piece::Run,
        Piece::Text(format!("/{}'", conf::PID)),
    ];
    if let Some((number, client)) = hub {
        let words = format!(" --client {client} --hub {}-hub --number {number} --monitor ", member.manifest);
        pieces.push(Piece::Text(words));
        pieces.extend(conf::address(spec, "monitor").into_iter().flatten());
    }
    Template::from_pieces(pieces)
}

fn missing(service: &ServiceName, port: &str) -> Vec<Diagnostic> {
    let example = if port == "client" { "4222" } else { "\"auto\"" };
    vec![
        Diagnostic::new("unknown-port", format!("`{service}` is of kind nats and has no port `{port}`"))
            .service(service.as_str())
            .help(format!("add \"ports\": {{\"{port}\": {{\"port\": {example}}}}}")),
    ]
}

fn internal(service: &ServiceName, rule: &str) -> Vec<Diagnostic> {
    vec![Diagnostic::new("bad-name", format!("a server of `{service}`: its name {rule}")).service(service.as_str())]
}
