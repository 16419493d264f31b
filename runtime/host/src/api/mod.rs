//! Control: HTTP/1.1 with JSON on a unix socket that only the stack's user may open. The types are the promised API; a
//! snapshot of their schema pins them.

mod accept;
mod acme_error;
mod certificates;
mod commands;
mod failure;
mod graph;
mod lines;
mod refused;
mod server;
mod state;
mod types;

use core_engine::InvocationId;
use core_engine::engine::{OperationState, View};
use core_engine::event::Command;
use core_engine::plan::Plan;
use core_engine::record::Cause;
use core_manifest::{Problem, ServiceName};
use tokio::sync::oneshot;

pub(crate) use accept::{open_socket, serve};
pub(crate) use certificates::{LATE, Question};
pub use graph::{Graph, GraphDependency, GraphService};
pub use server::schema;
pub use state::Server;
pub use types::{
    Accepted, Alive, CertificateStatus, DeployRequest, EndTrialRequest, Failure, InstanceStatus, JobStatus,
    MaintainRequest, OperationStatus, PlanAnswer, Program, PromoteRequest, RollbackRequest, ScaleRequest,
    ServicesRequest, Status, TrialStatus, UpRequest, WaitingStatus, Why, WhyStep,
};

/// What a request asks of the loop that owns the state.
pub enum Ask {
    /// Whether the loop answers.
    Alive(oneshot::Sender<()>),
    /// The state of the stack; the flag adds the resource usage of instances.
    Status(bool, oneshot::Sender<Box<Answer>>),
    /// Why a service is not ready; an error if the service does not exist.
    Why(ServiceName, oneshot::Sender<Result<Vec<Followed>, String>>),
    /// The services, with their dependencies and routes.
    Graph(oneshot::Sender<Graph>),
    /// Carry out a command for this cause; an error if the change is not on disk.
    Command(Command, Cause, Acknowledge),
    /// The state of an operation, and announcements for the client; `None` if it is unknown.
    Operation(u64, oneshot::Sender<Option<(OperationState, Vec<String>)>>),
    /// Read the manifests, with another profile if one is named, and return what applying them would do.
    Plan(Option<String>, oneshot::Sender<Result<Plan, Vec<Problem>>>),
    /// Read the manifests and apply them for this cause; returns the operation.
    Apply(Cause, oneshot::Sender<Result<u64, Refusal>>),
}

/// A step on the way to the root cause, and the invocation whose last log lines say more, if any.
pub type Followed = (WhyStep, Option<InvocationId>);

/// Reports that a command's change is on disk, or why it is not.
pub type Acknowledge = oneshot::Sender<Result<Accepted, String>>;

/// Why manifests are not applied, or are applied without being saved.
pub enum Refusal {
    /// The manifests are invalid.
    Broken(Vec<Problem>),
    /// They are applied, but that is not on disk, for this reason.
    Unsaved(String),
}

/// The state of the stack, with what only the host knows.
pub struct Answer {
    /// The engine's view.
    pub view: View,
    /// The answer for clients.
    pub status: Status,
    /// What is still to be asked about certificates, if there are any.
    pub(crate) certificates: Option<Question>,
}
