//! One process of the file. Pure.

use std::path::Path;
use std::time::Duration;

use core_manifest::spec::{Availability, Check, Restart, Shutdown};
use core_manifest::template::Piece;
use core_manifest::{ServiceSpec, Template};
use serde_json::{Map, Value, json};

use super::extra;
use super::making::Making;
use super::probe::{Asker, whole};
use super::text::Text;
use crate::shell::quoted;

/// The entry of the process `name`.
pub(super) fn entry(making: &Making<'_>, name: &str) -> Value {
    let spec = making.slot.spec;
    let mut notes = Vec::new();
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| all.insert(key.to_owned(), value);
    if spec.description.is_some() {
        put("description", making.written(&["process", "compose", "description"]).template());
    }
    if spec.namespace.is_some() {
        put("namespace", making.written(&["process", "compose", "namespace"]).plain());
    }
    let (environment, exports) = environment(making, &mut notes);
    command(making, &exports, &mut put);
    put("working_dir", making.text(&spec.working_dir).template());
    if !environment.is_empty() {
        put("environment", Value::Array(environment));
    }
    if let Some(why) = &making.disabled {
        put("disabled", json!(true));
        if !spec.disabled {
            notes.push(why.clone());
        }
    }
    if making.stands_for_all && spec.replicas > 1 {
        put("replicas", json!(spec.replicas));
    }
    let without_dotenv = making.node(&["process", "compose", "is_dotenv_disabled"]);
    if without_dotenv.is_some_and(|node| node.to_json() == json!(true)) {
        put("is_dotenv_disabled", json!(true));
    }
    if spec.is_daemon {
        put("is_daemon", json!(true));
    }
    if !making.depends_on.is_empty() {
        let all = making.depends_on.iter().map(|(other, word)| (other.clone(), json!({"condition": word})));
        put("depends_on", Value::Object(all.collect()));
    }
    put("availability", availability(&spec.availability));
    if !spec.success_exit_codes.is_empty() {
        put("success_exit_codes", json!(spec.success_exit_codes));
    }
    probes(making, &mut put, &mut notes);
    if !spec.kind.is_edge() && spec.held_ports().next().is_some() {
        notes.push("here nobody holds its ports and passes them on: it must listen itself".into());
    }
    put("shutdown", shutdown(making, &spec.shutdown));
    let log = making.state.join("compose-logs").join(format!("{name}.log"));
    put("log_location", Text::literal(log.display().to_string()).template());
    put(
        "log_configuration",
        json!({
            "flush_each_line": true,
            "rotation": {
                "max_size_mb": spec.log.segment_bytes.div_ceil(1 << 20),
                "max_backups": spec.log.keep_segments,
                "max_age_days": spec.log.keep_days,
            },
        }),
    );
    put("x-core", extra::of(making, notes));
    Value::Object(all)
}

/// The variables of the service, and those that only a shell can set, because their values would not survive the file.
fn environment(making: &Making<'_>, notes: &mut Vec<String>) -> (Vec<Value>, Vec<String>) {
    let (mut environment, mut exports) = (Vec::new(), Vec::new());
    for (name, value) in &making.slot.spec.env {
        let text = making.text(value);
        let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match text.unfit(making.variables) {
            Some(variable) if is_word => {
                notes.push(format!("{name} is set by the shell: the value of {variable} cannot pass through YAML"));
                exports.push(format!("export {name}={}", text.word_by_shell()));
            }
            _ => environment.push(Text::literal(format!("{name}=")).then(text).template()),
        }
    }
    (environment, exports)
}

/// The command. A shell comes first only if something has to be done before.
fn command(making: &Making<'_>, exports: &[String], put: &mut impl FnMut(&str, Value) -> Option<Value>) {
    let spec = making.slot.spec;
    let mut before: Vec<String> = Vec::new();
    if needs_run_folder(spec) {
        let word = |path: &Path| quoted(&path.display().to_string());
        let folder = word(making.slot.run_folder());
        // Emptied the way core does it, without removing the folder under a process that is in it.
        before.push(format!("mkdir -p -m 700 {folder}"));
        before.push(format!("find {folder} -mindepth 1 -delete"));
        if !spec.files.is_empty() {
            before.push(format!("cp -R {}/. {folder}", word(making.slot.files_folder())));
        }
    }
    before.extend(exports.iter().cloned());
    let mut words: Vec<Value> = Vec::new();
    // A program without a path is looked up in the PATH of the service, not in that of process-compose.
    let own_path = spec.env.contains_key("PATH") && !spec.shell && !spec.command.inlined().to_string().contains('/');
    if !before.is_empty() || own_path {
        before.push("exec \"$@\"".to_owned());
        words.extend([json!("/bin/sh"), json!("-c")]);
        words.push(Text::literal(before.join(" && ")).plain());
        words.push(json!(spec.name.as_str()));
    } else if spec.shell {
        put("command", making.text(&spec.command).plain());
        put("is_template_disabled", json!(true));
        return;
    }
    if spec.shell {
        words.extend([json!("/bin/sh"), json!("-c")]);
    }
    words.push(making.text(&spec.command).plain());
    words.extend(spec.args.iter().map(|arg| making.text(arg).plain()));
    put("entrypoint", Value::Array(words));
}

/// Whether the service uses its run folder.
pub(super) fn needs_run_folder(spec: &ServiceSpec) -> bool {
    !spec.files.is_empty() || spec.templates().into_iter().any(Template::mentions_run)
}

/// Whether each replica of the service must be a process of its own, because it gets a value that the others do not
/// get, or one that looks like a template. (Replicas of one process share some of their texts, which are then expanded
/// as templates several times.)
pub(super) fn is_told_apart(spec: &ServiceSpec) -> bool {
    let is_shared = |text: &str| !text.contains("{{");
    let is_own = |piece: &Piece| match piece {
        Piece::Text(text) => !is_shared(text),
        Piece::From(_, value) => !value.get().is_none_or(is_shared),
        _ => true,
    };
    !spec.files.is_empty() || spec.templates().into_iter().any(|text| text.pieces().iter().any(is_own))
}

fn availability(spec: &Availability) -> Value {
    let restart = match spec.restart {
        Restart::Always => "always",
        Restart::OnFailure => "on_failure",
        Restart::ExitOnFailure => "exit_on_failure",
        Restart::No => "no",
    };
    let mut all = json!({
        "restart": restart,
        "backoff_seconds": whole(spec.backoff).max(1),
        "max_restarts": spec.max_restarts,
    });
    for (key, is_so) in [("exit_on_end", spec.exit_on_end), ("exit_on_skipped", spec.exit_on_skipped)] {
        if is_so {
            all[key] = json!(true);
        }
    }
    all
}

fn shutdown(making: &Making<'_>, spec: &Shutdown) -> Value {
    // A timeout of 0 means SIGKILL at once here; in process-compose it would mean to wait forever.
    if spec.timeout == Duration::ZERO {
        return json!({"signal": 9, "timeout_seconds": 1});
    }
    let mut all = json!({"signal": spec.signal, "timeout_seconds": whole(spec.timeout)});
    if let Some(command) = &spec.command {
        all["command"] = making.text(command).plain();
    }
    if spec.parent_only {
        all["parent_only"] = json!(true);
    }
    all
}

fn probes(making: &Making<'_>, put: &mut impl FnMut(&str, Value) -> Option<Value>, notes: &mut Vec<String>) {
    let spec = making.slot.spec;
    let asker = |key: &str| Asker {
        core: making.core,
        variables: making.variables,
        slot: making.slot,
        written: making.node(&["process", "compose", key]),
    };
    if let Some(probe) = &spec.readiness {
        let patience = probe.initial_delay + spec.update.ready;
        match (&probe.check, asker("readiness_probe").probe(probe, Some(patience))) {
            (Check::LogLine { .. }, _) => {
                put("ready_log_line", making.written(&["process", "compose", "ready_log_line"]).plain());
            }
            (_, Some(value)) => {
                put("readiness_probe", value);
            }
            (_, None) => notes.push("it says itself when it is ready, and nobody listens to that here".into()),
        }
    }
    if let Some(probe) = &spec.liveness {
        match asker("liveness_probe").probe(probe, None) {
            Some(value) => {
                put("liveness_probe", value);
                if !spec.is_daemon {
                    notes.push("a lost liveness is only written to the log here".into());
                }
            }
            None => notes.push("it says itself that it is alive, and nobody listens to that here".into()),
        }
    }
}
