//! What goes over the control socket. Fields only ever get added.

use std::collections::BTreeMap;

use core_engine::engine::{OperationState, StackState};
use core_engine::ids::Generation;
use core_engine::phase::PhaseName;
use core_engine::plan::Plan;
use core_manifest::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// `GET /v1/status`: the state of the stack.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The root of the stack.
    pub stack: String,
    /// The profile it runs with.
    pub profile: String,
    /// The newest generation.
    pub generation: Generation,
    /// The stack as a whole.
    pub state: StackState,
    /// Where its edge can be reached, where there is one.
    pub url: Option<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// All instances.
    pub instances: Vec<InstanceStatus>,
    /// Downloads and builds that are under way.
    pub jobs: Vec<JobStatus>,
    /// Version of the supervisor; absent of one that does not say.
    #[serde(default)]
    pub version: Option<String>,
    /// The program that the supervisor is.
    #[serde(default)]
    pub program: Option<Program>,
    /// Figures of the host; only where they are asked for: `?host=true`.
    #[serde(default)]
    pub host: Option<Machine>,
}

/// The program that a supervisor is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Where it was started from.
    pub path: String,
    /// Its file is gone, or another one is in its place.
    pub deleted: bool,
}

/// One instance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// `web-0@7`
    pub id: String,
    /// `web-0`
    pub slot: String,
    /// `web`
    pub service: String,
    /// The replica, from 0.
    pub replica: u32,
    /// The generation it was born in.
    pub generation: Generation,
    /// Its present or last invocation: `web-0@7.3`.
    pub invocation: String,
    /// Its phase.
    pub phase: PhaseName,
    /// Why it is in it, where there is something to say. Of `ended`: `exit`, `stopped`, `disabled` or `skipped`.
    pub reason: Option<String>,
    /// The same for people.
    pub detail: Option<String>,
    /// Its first process.
    pub pid: Option<u32>,
    /// Whether it is ready. A one-shot that ended well is.
    pub ready: bool,
    /// Automatic restarts.
    pub restarts: u32,
    /// How it last ended: its code, or 128 + n after signal n.
    pub exit_code: Option<i32>,
    /// Its ports by name.
    pub ports: BTreeMap<String, u16>,
    /// Since when it is in its phase: RFC 3339, UTC.
    pub since: Option<String>,
    /// Share of one processor that its processes used in the last second or so, in percent.
    pub cpu_percent: Option<f64>,
    /// Processor time of its processes that live, since their start, in seconds.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// What it waits for.
    pub waiting_on: Vec<WaitingStatus>,
    /// How it is in its own words (`STATUS=` of `sd_notify`).
    #[serde(default)]
    pub status: Option<String>,
}

/// Something an instance waits for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WaitingStatus {
    /// The service it is about.
    pub service: Option<String>,
    /// The condition, where it is a dependency.
    pub condition: Option<String>,
    /// Stable word.
    pub code: String,
    /// In words.
    pub message: String,
}

/// `GET /v1/why/{service}`: what keeps a service from being ready, followed to its root.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The service that was asked for.
    pub service: String,
    /// Its instances, and below each what it waits for, depth first.
    pub steps: Vec<WhyStep>,
}

/// One instance on the way to the root.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WhyStep {
    /// How many have led to it: 0 for an instance of the service itself.
    pub depth: usize,
    /// The instance.
    pub instance: InstanceStatus,
    /// The last bad answer of its readiness probe, while it is not ready.
    pub last_probe: Option<String>,
    /// The last lines of its output, where nothing but itself keeps it.
    pub last_lines: Vec<String>,
}

/// A download or build that is under way.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct JobStatus {
    /// Folder of `.dep/` that it makes.
    pub folder: String,
    /// What is being done.
    pub what: String,
    /// Bytes so far, for a download.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

/// `POST /v1/up`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpRequest {
    /// Services; none is all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Seconds it may take; downloads and builds are not counted.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
}

/// `POST /v1/start`, `stop` and `restart`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicesRequest {
    /// Services.
    pub services: Vec<String>,
}

/// `POST /v1/scale`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleRequest {
    /// The service.
    pub service: String,
    /// How many replicas.
    pub replicas: u32,
}

/// What a request that takes time is answered with: status 202.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Number of the operation, for `GET /v1/operations/{id}`.
    pub operation: u64,
    /// Of `down` and `kill`: how long that may take at the most, in seconds, as the services are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<f64>,
}

/// `GET /v1/alive`: that the supervisor answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alive {
    /// Its process.
    pub pid: u32,
}

/// `GET /v1/operations/{id}`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperationStatus {
    /// Number of the operation.
    pub operation: u64,
    /// How it stands.
    pub status: OperationState,
    /// What is to be said, once: secrets that were made.
    pub announcements: Vec<String>,
    /// The last lines of the culprit's output, when it failed.
    pub last_lines: Vec<String>,
}

/// `GET /v1/plan`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlanAnswer {
    /// What would be done; absent when the manifests are broken.
    pub plan: Option<Plan>,
    /// What is wrong with the manifests.
    pub problems: Vec<Problem>,
}

/// What a request that cannot be carried out is answered with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Stable word.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// More of it.
    #[serde(default)]
    pub problems: Vec<Problem>,
}
