//! The types of the control socket. Fields are only added, never changed or removed.

use std::collections::BTreeMap;

use core_engine::engine::{OperationState, StackState};
use core_engine::ids::Generation;
use core_engine::maintenance::Maintenance;
use core_engine::phase::PhaseName;
use core_engine::plan::Plan;
use core_manifest::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// `GET /v1/status`: the state of the stack.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The root folder of the stack.
    pub stack: String,
    /// The profile it runs with.
    pub profile: String,
    /// The newest generation.
    pub generation: Generation,
    /// The state of the stack as a whole.
    pub state: StackState,
    /// The URL of its edge, if it has one.
    pub url: Option<String>,
    /// Errors in the manifests, and other problems.
    pub problems: Vec<Problem>,
    /// All instances.
    pub instances: Vec<InstanceStatus>,
    /// Downloads and builds in progress.
    pub jobs: Vec<JobStatus>,
    /// Version of the supervisor; absent if it does not report one.
    #[serde(default)]
    pub version: Option<String>,
    /// The program file of the supervisor.
    #[serde(default)]
    pub program: Option<Program>,
    /// Figures of the host; only with `?host=true`.
    #[serde(default)]
    pub host: Option<Machine>,
    /// The releases that run beside live ones.
    #[serde(default)]
    pub trials: Vec<TrialStatus>,
    /// The certificates of the edge; only with figures, so not with `?usage=false`.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The services in maintenance, and how their clients are answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maintenance: BTreeMap<String, Maintenance>,
}

/// The state of the certificate for one name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CertificateStatus {
    /// The name.
    pub name: String,
    /// Who has issued it; absent as long as it does not exist.
    pub issuer: Option<String>,
    /// When it ends: RFC 3339, UTC.
    pub not_after: Option<String>,
    /// Why the last try to get or renew it failed, unless one has succeeded since.
    pub failure: Option<String>,
}

/// The program file of a supervisor.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// The path that it was started from.
    pub path: String,
    /// Whether the file was removed or replaced since.
    pub deleted: bool,
}

/// The state of one instance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// Name of the instance: `web-0@7`.
    pub id: String,
    /// Name of its slot: `web-0`.
    pub slot: String,
    /// Name of its service: `web`.
    pub service: String,
    /// Number of the replica, from 0.
    pub replica: u32,
    /// The generation that created it.
    pub generation: Generation,
    /// Its current or last invocation: `web-0@7.3`.
    pub invocation: String,
    /// Its phase.
    pub phase: PhaseName,
    /// Why it is in this phase, if there is a reason. In `ended`: `exit`, `stopped`, `disabled`, `idle` or
    /// `skipped`.
    pub reason: Option<String>,
    /// The reason as text for people.
    pub detail: Option<String>,
    /// PID of its first process.
    pub pid: Option<u32>,
    /// Whether it is ready. A one-shot that exited with success is.
    pub ready: bool,
    /// Number of automatic restarts so far.
    pub restarts: u32,
    /// Its last exit code, or 128 + n after signal n.
    pub exit_code: Option<i32>,
    /// Its ports by name.
    pub ports: BTreeMap<String, u16>,
    /// When it entered its phase: RFC 3339, UTC.
    pub since: Option<String>,
    /// CPU time since an earlier reading at least 1 s ago, or since its start, in percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// CPU time of its living processes since their start, in seconds.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// What it waits for.
    pub waiting_on: Vec<WaitingStatus>,
    /// Its status in its own words (`STATUS=` of `sd_notify`).
    #[serde(default)]
    pub status: Option<String>,
    /// The release that it runs, if its service has releases.
    #[serde(default)]
    pub release: Option<String>,
    /// Its part, if its service has releases: `live`, `warm` for one that was replaced and
    /// is kept, `preview` or `canary`.
    #[serde(default)]
    pub role: Option<String>,
}

/// Something that an instance waits for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WaitingStatus {
    /// The service that it waits for, if any.
    pub service: Option<String>,
    /// The condition, if it is a dependency.
    pub condition: Option<String>,
    /// A stable word for programs.
    pub code: String,
    /// The reason to wait, as text for people.
    pub message: String,
}

/// `GET /v1/why/{service}`: why a service is not ready, followed to the root cause.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The service that was asked for.
    pub service: String,
    /// Its instances, each followed by what it waits for, depth first.
    pub steps: Vec<WhyStep>,
}

/// One instance on the way to the root cause.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WhyStep {
    /// The number of steps before it: 0 for an instance of the service itself.
    pub depth: usize,
    /// The state of the instance.
    pub instance: InstanceStatus,
    /// The last failure of its readiness probe, while it is not ready.
    pub last_probe: Option<String>,
    /// The last lines of its output, if it waits for nothing else.
    pub last_lines: Vec<String>,
}

/// A download or build in progress.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct JobStatus {
    /// The folder in `.dep/` that it makes.
    pub folder: String,
    /// What it is doing now.
    pub what: String,
    /// Bytes downloaded so far.
    pub done: u64,
    /// Total bytes, if known.
    pub total: Option<u64>,
}

/// The body of `POST /v1/up`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpRequest {
    /// The services; empty means all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Time limit in seconds, not counting downloads and builds.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
}

/// The body of `POST /v1/start`, `stop` and `restart`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicesRequest {
    /// The names of the services.
    pub services: Vec<String>,
}

/// The body of `POST /v1/maintain`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintainRequest {
    /// The services; empty means all that have a route.
    pub services: Vec<String>,
    /// How clients are answered; absent ends it.
    #[serde(default)]
    pub how: Option<Maintenance>,
}

/// The body of `POST /v1/scale`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleRequest {
    /// The name of the service.
    pub service: String,
    /// Number of replicas.
    pub replicas: u32,
}

/// The body of `POST /v1/deploy`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The name of the service; by default the only one that has releases.
    #[serde(default)]
    pub service: Option<String>,
    /// Whether nothing that earlier builds have left may be used.
    #[serde(default)]
    pub no_cache: bool,
    /// The absolute path of an archive to deploy instead of the folder.
    #[serde(default)]
    pub archive: Option<String>,
    /// What it is for, for the history and the list of releases.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether nothing is done if nothing has changed that the manifest has watched.
    #[serde(default)]
    pub if_changed: bool,
    /// Whether the release is only made, and the service does not switch to it.
    #[serde(default)]
    pub no_switch: bool,
    /// Whether this takes the place of deploys of the same service whose releases are not there yet.
    #[serde(default)]
    pub supersede: bool,
    /// The name of the preview that it becomes, beside the live release.
    #[serde(default)]
    pub preview: Option<String>,
    /// Whether everybody may see that preview, without a password.
    #[serde(default)]
    pub public: bool,
    /// The share of the clients that it gets, in percent, beside the live release.
    #[serde(default)]
    pub canary: Option<u32>,
}

/// A release that runs beside the live one of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrialStatus {
    /// The service.
    pub service: String,
    /// Its name; `canary` for one that gets a share of the clients.
    pub name: String,
    /// Its release, once that is there.
    pub release: Option<String>,
    /// Of a preview: its host names.
    pub hosts: Vec<String>,
    /// The path of its first page.
    #[serde(default)]
    pub path: String,
    /// Of a canary: its share of the clients, in percent.
    pub percent: Option<u32>,
    /// Whether it is seen without a password.
    pub public: bool,
    /// Of a preview: when it was last deployed, in seconds since 1970.
    pub at: Option<i64>,
}

/// The body of `POST /v1/promote`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The name of the service; by default any that has this trial.
    #[serde(default)]
    pub service: Option<String>,
    /// The name of the preview, or `canary`; by default the canary, else the only preview.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it may have been built with other values of variables than the service has.
    #[serde(default)]
    pub as_built: bool,
}

/// The body of `POST /v1/end-trial`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndTrialRequest {
    /// The name of the service.
    pub service: String,
    /// The name of the preview, or `canary`.
    pub name: String,
}

/// The body of `POST /v1/rollback`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The name of the service; by default the only one that has releases.
    #[serde(default)]
    pub service: Option<String>,
    /// The release to go back to; by default the newest that served well before the wanted one.
    #[serde(default)]
    pub release: Option<String>,
}

/// The answer to a request that starts an operation, with status 202.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Number of the operation, for `GET /v1/operations/{id}`.
    pub operation: u64,
    /// Of `down` and `kill`: the longest time that the stop may take by the manifests, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<f64>,
}

/// `GET /v1/alive`: the supervisor answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alive {
    /// PID of the supervisor.
    pub pid: u32,
}

/// `GET /v1/operations/{id}`: the state of an operation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperationStatus {
    /// Number of the operation.
    pub operation: u64,
    /// The state of the operation.
    pub status: OperationState,
    /// Messages to show once, about secrets that were generated.
    pub announcements: Vec<String>,
    /// The last log lines of the invocation that made it fail.
    pub last_lines: Vec<String>,
}

/// `GET /v1/plan`: what applying the manifests would do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlanAnswer {
    /// The plan; absent if the manifests are invalid.
    pub plan: Option<Plan>,
    /// Errors in the manifests.
    pub problems: Vec<Problem>,
}

/// The answer to a request that was refused or failed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// A stable word for programs.
    pub code: String,
    /// What is wrong, as text for people.
    pub message: String,
    /// Errors in the manifests, if they are the reason.
    #[serde(default)]
    pub problems: Vec<Problem>,
}
