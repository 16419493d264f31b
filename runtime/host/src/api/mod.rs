//! Control: HTTP/1.1 with JSON on a unix socket that only we may open. The types are what is promised; a snapshot of
//! their schema pins them.

mod accept;
mod graph;
mod lines;
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

pub use graph::{Graph, GraphDependency, GraphService};
pub use server::schema;
pub use state::Server;
pub use types::{
    Accepted, Alive, Failure, InstanceStatus, JobStatus, OperationStatus, PlanAnswer, Program, ScaleRequest,
    ServicesRequest, Status, UpRequest, WaitingStatus, Why, WhyStep,
};

/// What a request asks of the loop that owns the state.
pub enum Ask {
    /// Nothing: whether anybody answers.
    Alive(oneshot::Sender<()>),
    /// The state; with what instances use, or without.
    Status(bool, oneshot::Sender<Box<Answer>>),
    /// What keeps a service from being ready; or that there is no such service.
    Why(ServiceName, oneshot::Sender<Result<Vec<Followed>, String>>),
    /// The services and what leads from one to another.
    Graph(oneshot::Sender<Graph>),
    /// Carry out a command, for somebody; or why what it changed is not on disk.
    Command(Command, Cause, Acknowledge),
    /// How an operation stands.
    Operation(u64, oneshot::Sender<Option<(OperationState, Vec<String>)>>),
    /// Read the manifests now, and say what would be done.
    Plan(oneshot::Sender<Result<Plan, Vec<Problem>>>),
    /// Read the manifests now, and do it, for somebody.
    Apply(Cause, oneshot::Sender<Result<u64, Refusal>>),
}

/// A step on the way to the root, and whose last lines say more, where any do.
pub type Followed = (WhyStep, Option<InvocationId>);

/// Whoever waits until what was asked for is on disk.
pub type Acknowledge = oneshot::Sender<Result<Accepted, String>>;

/// Why manifests are not applied, or may be forgotten again.
pub enum Refusal {
    /// They are broken.
    Broken(Vec<Problem>),
    /// They are, but that is not on disk; and why.
    Unsaved(String),
}

/// The state, with what only the host knows.
pub struct Answer {
    /// The engine's view.
    pub view: View,
    /// The rest.
    pub status: Status,
}
