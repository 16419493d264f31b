//! Resolves a manifest to a spec: fills in defaults, and checks the rules that a schema cannot express.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Faults;
use super::{
    Availability, BinaryRef, Identity, LogLimits, OwnCertificate, Probe, ServiceSpec, Shutdown, edge, ports, route,
    update,
};
use crate::diagnostic::Diagnostic;
use crate::manifest::{self, Limit, Manifest};
use crate::name::{Identifier, ServiceName};
use crate::named::{Folders, Lists};
use crate::origin::{Origin, Value};
use crate::template::{Piece, Template};
use crate::tree::Node;
use crate::variables;

/// What a manifest is resolved with.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The root of the stack, absolute.
    pub root: String,
    /// Variables of `.env` that are not set in the environment of `core up`.
    pub dotenv: BTreeMap<String, String>,
    /// Variables of the profile.
    pub profile_env: BTreeMap<String, Template>,
    /// The binaries of the service.
    pub binaries: BTreeMap<Identifier, BinaryRef>,
    /// The release of the service.
    pub release: Option<String>,
    /// The profile that the stack runs with.
    pub profile: String,
    /// Whether each service with a route gets a host name of its own below `localhost`.
    pub has_own_hosts: bool,
    /// Whether releases that were replaced are kept warm, unless a manifest says otherwise.
    pub keeps_warm: bool,
    /// The file with the users of the service.
    pub users: Option<String>,
    /// The certificates from files.
    pub certificates: Vec<OwnCertificate>,
    /// Files with one entry a line that manifests name.
    pub lists: Lists,
    /// The files of folders that manifests name.
    pub folders: Folders,
}

/// Makes a spec from `manifest`. `node` is the tree it was read from, for the places of errors. Errors go to `out`;
/// returns `None` if there were any.
pub fn resolve(
    name: &ServiceName,
    manifest: &Manifest,
    node: &Node,
    context: &Context,
    out: &mut Vec<Diagnostic>,
) -> Option<ServiceSpec> {
    let before = out.len();
    let mut faults = Faults { name, node, out };
    let compose = &manifest.process.compose;
    let ports = ports::resolve(manifest, &context.profile, &mut faults);
    let readiness = readiness(manifest, &mut faults);
    let liveness = compose.liveness_probe.as_ref().and_then(|probe| {
        Probe::resolve(probe, &mut |path, fault| {
            faults.add(&[&["process", "compose", "liveness_probe"], path].concat(), fault);
        })
    });
    let own_host = context.has_own_hosts.then(|| format!("{name}.localhost"));
    let route = manifest.route.as_ref();
    let route = route.and_then(|route| route::resolve(route, own_host.as_deref(), &ports, context, &mut faults));
    let update = update::resolve(manifest, &ports, readiness.as_ref(), context, &mut faults);
    let edge = edge::resolve(manifest.config.as_ref(), context, &mut faults);
    let spec = ServiceSpec {
        name: name.clone(),
        kind: manifest.kind,
        description: description(manifest, node),
        namespace: compose.namespace.clone(),
        command: command(manifest, context, &mut faults),
        args: manifest.process.args.clone(),
        env: environment(manifest, context, &mut faults),
        working_dir: absolute(manifest.process.working_dir.as_ref(), &context.root),
        shell: manifest.process.shell,
        identity: identity(manifest, &mut faults),
        disabled: compose.disabled,
        is_daemon: compose.is_daemon,
        replicas: compose.replicas.unwrap_or(1),
        depends_on: dependencies(name, manifest, &mut faults),
        availability: Availability {
            restart: compose.availability.restart,
            backoff: faults.seconds(
                &["process", "compose", "availability", "backoff_seconds"],
                compose.availability.backoff_seconds,
                0.1,
            ),
            max_restarts: compose.availability.max_restarts,
            exit_on_end: compose.availability.exit_on_end,
            exit_on_skipped: compose.availability.exit_on_skipped,
        },
        success_exit_codes: compose.success_exit_codes.iter().copied().collect::<BTreeSet<_>>(),
        readiness,
        liveness,
        shutdown: Shutdown {
            signal: compose.shutdown.signal.unwrap_or(15),
            timeout: faults.seconds(
                &["process", "compose", "shutdown", "timeout_seconds"],
                compose.shutdown.timeout_seconds,
                10.0,
            ),
            command: compose.shutdown.command.clone(),
            parent_only: compose.shutdown.parent_only,
        },
        log: LogLimits {
            segment_bytes: u64::from(compose.log_configuration.rotation.max_size_mb.unwrap_or(16)) << 20,
            keep_segments: compose.log_configuration.rotation.max_backups.unwrap_or(8),
            keep_days: compose.log_configuration.rotation.max_age_days.unwrap_or(0),
        },
        ports,
        route,
        update,
        binaries: context.binaries.clone(),
        files: Vec::new(),
        release: context.release.clone(),
        store: None,
        values: Some(BTreeMap::new()),
        edge,
        skew_cookie: manifest.config.as_ref().is_some_and(|config| config.skew_cookie),
    };
    check_texts(&spec, &mut faults);
    (out.len() == before).then_some(spec)
}

/// The description is only for people, so it keeps the names of variables and secrets instead of their values.
fn description(manifest: &Manifest, node: &Node) -> Option<String> {
    let path = ["process", "compose", "description"];
    let written = path.iter().try_fold(node, |node, key| node.get(key)).and_then(|node| node.made_of.as_ref());
    written.map(Template::to_string).or_else(|| manifest.process.compose.description.clone())
}

fn absolute(path: Option<&Template>, root: &str) -> Template {
    match path {
        None => Template::literal(root),
        Some(path) => {
            let text = path.inlined().to_string();
            let has_own_root = text.starts_with('/') || text.starts_with("${run}");
            if has_own_root { path.clone() } else { path.prefixed(&format!("{root}/")) }
        }
    }
}

/// A bare name is looked up in PATH; a path with a slash is relative to the root.
fn command(manifest: &Manifest, context: &Context, faults: &mut Faults<'_>) -> Template {
    let command = &manifest.process.command;
    if command.is_empty() {
        faults.add(
            &["process", "command"],
            Diagnostic::new("wrong-value", "`process.command` is empty").help("name the program to run"),
        );
    }
    if manifest.process.shell {
        if !manifest.process.args.is_empty() {
            faults.add(
                &["process", "args"],
                Diagnostic::new(
                    "wrong-value",
                    "`args` cannot stand beside `shell`: a shell line holds its own arguments",
                )
                .help("put the arguments into `command`, or take `shell` away"),
            );
        }
        return command.clone();
    }
    if command.inlined().to_string().contains('/') { absolute(Some(command), &context.root) } else { command.clone() }
}

fn environment(manifest: &Manifest, context: &Context, faults: &mut Faults<'_>) -> BTreeMap<String, Template> {
    let mut env = BTreeMap::new();
    let variable = |(name, value): (&String, &String)| {
        (name.clone(), Template::from_pieces([Piece::From(Origin::Variable(name.clone()), Value::known(value))]))
    };
    if !manifest.process.compose.is_dotenv_disabled {
        env.extend(context.dotenv.iter().map(variable));
    }
    env.extend(context.profile_env.clone());
    for (key, value) in &manifest.process.env {
        let well_formed = !key.is_empty() && !key.contains(['=', '\0']);
        if !well_formed {
            faults.add(
                &["process", "env", key],
                Diagnostic::new("wrong-value", format!("`{key}` cannot be the name of an environment variable")),
            );
        }
        if variables::is_own(key) {
            faults.add(
                &["process", "env", key],
                Diagnostic::new("reserved-name", format!("`{key}` is set by core itself"))
                    .help("call the variable something else"),
            );
        }
        env.insert(key.clone(), value.clone());
    }
    env
}

fn identity(manifest: &Manifest, faults: &mut Faults<'_>) -> Identity {
    let process = &manifest.process;
    let umask = process.umask.as_ref().and_then(|text| match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Some(mask),
        _ => {
            faults.add(
                &["process", "umask"],
                Diagnostic::new("wrong-value", format!("`umask` is \"{text}\", expected up to three octal digits"))
                    .help("for example \"022\""),
            );
            None
        }
    });
    let limits = &process.limits;
    let limits =
        [("nofile", limits.nofile), ("nproc", limits.nproc), ("core", limits.core), ("as", limits.address_space)];
    Identity {
        user: process.user.clone(),
        group: process.group.clone(),
        umask,
        limits: limits
            .into_iter()
            .filter_map(|(name, limit)| {
                limit.map(|limit| match limit {
                    Limit::Most(most) => (name.to_owned(), Some(most)),
                    Limit::Word(_) => (name.to_owned(), None),
                })
            })
            .collect(),
        nice: process.nice,
        oom_score_adj: process.oom_score_adj,
    }
}

fn dependencies(
    name: &ServiceName,
    manifest: &Manifest,
    faults: &mut Faults<'_>,
) -> BTreeMap<ServiceName, manifest::compose::Condition> {
    let mut all = BTreeMap::new();
    for (other, dependency) in &manifest.process.compose.depends_on {
        let path = ["process", "compose", "depends_on", other.as_str()];
        match ServiceName::made(other) {
            Ok(other) if &other == name => {
                faults.add(
                    &path,
                    Diagnostic::new("cycle", format!("`{name}` depends on itself")).help("take the line out"),
                );
            }
            Ok(other) => {
                all.insert(other, dependency.condition);
            }
            Err(rule) => faults.add(
                &path,
                Diagnostic::new("unknown-service", format!("`{other}` cannot be a service: its name {rule}")),
            ),
        }
    }
    all
}

fn readiness(manifest: &Manifest, faults: &mut Faults<'_>) -> Option<Probe> {
    let compose = &manifest.process.compose;
    let path: &[&str] = &["process", "compose", "readiness_probe"];
    match (&compose.readiness_probe, &compose.ready_log_line) {
        (Some(_), Some(_)) => {
            faults.add(
                &["process", "compose", "ready_log_line"],
                Diagnostic::new("bad-probe", "`ready_log_line` and `readiness_probe` cannot stand together")
                    .help("keep the one that shows best that the service can do its work"),
            );
            None
        }
        (Some(probe), None) => Probe::resolve(probe, &mut |at, fault| faults.add(&[path, at].concat(), fault)),
        (None, Some(line)) if line.is_empty() => {
            faults.add(
                &["process", "compose", "ready_log_line"],
                Diagnostic::new("bad-probe", "`ready_log_line` is empty: every line would do"),
            );
            None
        }
        (None, Some(line)) => Some(Probe::log_line(line.clone())),
        (None, None) => None,
    }
}

/// No text that goes to the kernel may contain a NUL.
fn check_texts(spec: &ServiceSpec, faults: &mut Faults<'_>) {
    let mut check = |path: &[&str], text: &Template| {
        if text.inlined().to_string().contains('\0') {
            faults
                .add(path, Diagnostic::new("wrong-value", "the text holds a NUL byte, which no program can be given"));
        }
    };
    check(&["process", "command"], &spec.command);
    for (index, arg) in spec.args.iter().enumerate() {
        check(&["process", "args", &index.to_string()], arg);
    }
    for (key, value) in &spec.env {
        check(&["process", "env", key], value);
    }
    check(&["process", "working_dir"], &spec.working_dir);
}
