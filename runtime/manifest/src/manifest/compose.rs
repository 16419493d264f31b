//! `process.compose`: the process fields of process-compose 1.122, with the names and the meaning they have there,
//! except where `docs/PROCESS-COMPOSE.md` says otherwise.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::template::Template;

/// Fields of process-compose that core knows and does not support. Accepting them silently would mislead.
pub const NOT_YET: &[&str] = &[
    "command",
    "disable_ansi_colors",
    "entrypoint",
    "env_file",
    "environment",
    "extends",
    "is_elevated",
    "is_foreground",
    "is_interactive",
    "is_template_disabled",
    "is_tty",
    "launch_timeout_seconds",
    "log_location",
    "mcp",
    "monitor_for",
    "monitor_silence_threshold",
    "schedule",
    "truncate_log",
    "vars",
    "watch",
    "working_dir",
];

/// Fields with the names and the meaning of process-compose.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// What the service is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A label for grouping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Do not start the service with the stack. Default: false.
    #[serde(default)]
    pub disabled: bool,
    /// The command ends with 0 once what it began is up in the background; that is the service then. Default: false.
    #[serde(default)]
    pub is_daemon: bool,
    /// Leave the variables of `.env` out of the service's environment. Default: false.
    #[serde(default)]
    pub is_dotenv_disabled: bool,
    /// Services that this one waits for, each with a condition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// What happens when the service ends.
    #[serde(default)]
    pub availability: Availability,
    /// Exit codes besides 0 that count as a good end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 0, max = 255)))]
    pub success_exit_codes: Vec<u8>,
    /// Tells when the service is ready. Failing later takes it out of ready; it is not restarted for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Tells whether the service is alive. Failing restarts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Text of an output line that makes the service ready. Not together with a readiness probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_log_line: Option<String>,
    /// How the service is asked to end.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Copies that run beside each other. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
    /// Limits of the logs kept on disk.
    #[serde(default)]
    pub log_configuration: LogConfiguration,
}

/// One service that another waits for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// What must be true before the dependent starts. Default: process_started.
    #[serde(default)]
    pub condition: Condition,
}

/// What a dependent waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has been started.
    #[default]
    ProcessStarted,
    /// Its readiness probe succeeds.
    ProcessHealthy,
    /// It has ended, well or badly, and will not be started again.
    ProcessCompleted,
    /// It has ended well.
    ProcessCompletedSuccessfully,
    /// It has printed its `ready_log_line`.
    ProcessLogReady,
}

impl Condition {
    /// The word for this condition in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::ProcessStarted => "process_started",
            Self::ProcessHealthy => "process_healthy",
            Self::ProcessCompleted => "process_completed",
            Self::ProcessCompletedSuccessfully => "process_completed_successfully",
            Self::ProcessLogReady => "process_log_ready",
        }
    }
}

/// What happens when the service ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Availability {
    /// When it is started again. Default: on_failure.
    #[serde(default)]
    pub restart: Restart,
    /// First pause before a restart, in seconds; doubled up to 30 s, back to the first after 10 s ready; 0 = none.
    /// Default: 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_seconds: Option<f64>,
    /// Restarts after which it is given up; 0 = never. Default: 0.
    #[serde(default)]
    pub max_restarts: u32,
    /// End the whole stack when the service has ended for good. Default: false.
    #[serde(default)]
    pub exit_on_end: bool,
    /// End the whole stack when the service is skipped. Default: false.
    #[serde(default)]
    pub exit_on_skipped: bool,
}

/// When a service that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Whenever it ended.
    Always,
    /// When it ended badly.
    #[default]
    OnFailure,
    /// Never; and the whole stack ends when it ended badly.
    ExitOnFailure,
    /// Never.
    No,
}

/// How the service is asked to end.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// Number of the signal that asks. Default: 15 (TERM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31))]
    pub signal: Option<i32>,
    /// Seconds until KILL follows. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub timeout_seconds: Option<f64>,
    /// A line for `sh -c` that asks instead of a signal. `CORE_STOP_REASON` tells it why: shutdown, removed, replaced,
    /// scaled_down, operator, disabled, never_ready, not_alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Template>,
    /// Signal only the service's first process, not its process group. Default: false.
    #[serde(default)]
    pub parent_only: bool,
}

/// Limits of the logs kept on disk.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfiguration {
    /// When a segment is full, and how many are kept.
    #[serde(default)]
    pub rotation: Rotation,
}

/// When a segment is full, and how many are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Size at which a new segment begins, in MiB. Default: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub max_size_mb: Option<u32>,
    /// Older segments that are kept, per slot and stream; 0 = all. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backups: Option<u32>,
    /// Days after which a segment is deleted; 0 = never. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
}
