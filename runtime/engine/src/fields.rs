//! The fields of a manifest, and what a change of each requires. The table in docs/FIELDS.md comes from this.

use serde::{Deserialize, Serialize};

/// What a change of a field requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing: the field is for people.
    None,
    /// It is applied to running instances.
    Refresh,
    /// New instances, by the strategy of the service.
    Replace,
}

/// A field of the manifest.
pub(crate) struct Field {
    /// Its name, as in a manifest.
    pub(crate) name: &'static str,
    /// What a change of it requires.
    pub(crate) class: Class,
    /// The effect of a change, as text.
    effect: &'static str,
}

const fn field(name: &'static str, class: Class, effect: &'static str) -> Field {
    Field { name, class, effect }
}

/// All fields that a spec is made of.
pub(crate) const FIELDS: [Field; 27] = [
    field("process.compose.description", Class::None, ""),
    field("process.compose.namespace", Class::None, ""),
    field("process.compose.disabled", Class::Refresh, "starts or stops it"),
    field(
        "process.compose.replicas",
        Class::Refresh,
        "starts or stops slots; above 8 with a route, the edge's file changes too",
    ),
    field("process.compose.depends_on", Class::Refresh, "counts at the next first start, and for the order of ends"),
    field("process.compose.availability", Class::Refresh, "counts at the next end"),
    field("process.compose.success_exit_codes", Class::Refresh, "counts at the next end"),
    field("process.compose.readiness_probe, ready_log_line", Class::Refresh, "asked at once"),
    field("process.compose.liveness_probe", Class::Refresh, "asked at once"),
    field("process.compose.shutdown", Class::Refresh, "counts at the next stop"),
    field(
        "process.compose.log_configuration",
        Class::Refresh,
        "at once; logs that are there are looked at within a minute",
    ),
    field(
        "route",
        Class::Refresh,
        "pointers follow at once; the edge's generated file changes, so the edge is replaced, by a swap",
    ),
    field("update", Class::Refresh, "counts for the next replacement"),
    field("kind", Class::Replace, ""),
    field("process.command", Class::Replace, ""),
    field("process.args", Class::Replace, ""),
    field("process.working_dir", Class::Replace, ""),
    field("process.shell", Class::Replace, ""),
    field(
        "process.env; .env, the profile's env, is_dotenv_disabled",
        Class::Replace,
        "where the environment differs that comes of it",
    ),
    field("process.user, group, umask, limits, nice, oom_score_adj", Class::Replace, ""),
    field("process.compose.is_daemon", Class::Replace, ""),
    field(
        "process.compose.readiness_probe.notify, liveness_probe.notify",
        Class::Replace,
        "a process that was started without the socket does not know about it",
    ),
    field("ports", Class::Replace, "number, protocol, address, `hold`"),
    field(
        "binaries",
        Class::Replace,
        "where path or folder differ; the running one is kept until the new binary is there",
    ),
    field("generated files", Class::Replace, "those of a driver; `config` is a part of them"),
    field("release", Class::Replace, "of an app that is built"),
    field("variables and secrets", Class::Replace, "where one that it is given is something else; the plan names it"),
];

/// The fields as a Markdown table.
pub fn table() -> String {
    let mut text = String::from("| field | class | effect |\n|---|---|---|\n");
    for Field { name, class, effect } in &FIELDS {
        let class = match class {
            Class::None => "none",
            Class::Refresh => "refresh",
            Class::Replace => "swap or restart",
        };
        text.push_str(&format!("| {name} | {class} | {effect} |\n"));
    }
    text
}
