//! Clients of the control socket that wait for the engine.

use std::collections::HashMap;

use core_engine::plan::Plan;
use core_manifest::Problem;
use tokio::sync::oneshot;

use crate::api::{Accepted, Acknowledge, Refusal};

/// Takes a plan, or what is wrong with the manifests.
type ForPlan = oneshot::Sender<Result<Plan, Vec<Problem>>>;

/// The clients that wait, by operation and by question.
#[derive(Default)]
pub(super) struct Askers {
    operations: HashMap<u64, Waiting>,
    plans: HashMap<u64, (Option<String>, ForPlan)>,
    /// Number of the last question.
    questions: u64,
}

/// A client that has asked for an operation.
pub(super) enum Waiting {
    /// It gave a command.
    Command(Acknowledge),
    /// It stops the stack, which takes at most this many seconds and does not wait for the disk.
    End(Acknowledge, f64),
    /// It asked to apply the manifests.
    Apply(oneshot::Sender<Result<u64, Refusal>>),
}

impl Askers {
    /// Adds a client that waits for an operation.
    pub(super) fn wait(&mut self, operation: u64, who: Waiting) {
        self.operations.insert(operation, who);
    }

    /// Adds a client that waits for a plan, with this profile. Returns the number of the question.
    pub(super) fn wait_for_plan(&mut self, profile: Option<String>, who: ForPlan) -> u64 {
        self.questions += 1;
        self.plans.insert(self.questions, (profile, who));
        self.questions
    }

    /// Answers that an operation has started, and is on disk or, for the given reason, is not.
    pub(super) fn accepted(&mut self, operation: u64, unsaved: Option<&str>) {
        let saved = unsaved.map_or(Ok(()), |why| Err(why.to_owned()));
        match self.operations.remove(&operation) {
            Some(Waiting::Command(who)) => {
                let _ = who.send(saved.map(|()| Accepted { operation, within_seconds: None }));
            }
            Some(Waiting::End(who, seconds)) => {
                let _ = who.send(Ok(Accepted { operation, within_seconds: Some(seconds) }));
            }
            Some(Waiting::Apply(who)) => {
                let _ = who.send(saved.map(|()| operation).map_err(Refusal::Unsaved));
            }
            None => {}
        }
    }

    /// Answers that the manifests are invalid.
    pub(super) fn refused(&mut self, operation: u64, problems: Vec<Problem>) {
        if let Some(Waiting::Apply(who)) = self.operations.remove(&operation) {
            let _ = who.send(Err(Refusal::Broken(problems)));
        }
    }

    /// The profile that a client asks about, if it names one.
    pub(super) fn profile_of(&self, question: u64) -> Option<String> {
        self.plans.get(&question)?.0.clone()
    }

    /// Answers what the manifests would change.
    pub(super) fn planned(&mut self, question: u64, result: Result<Box<Plan>, Vec<Problem>>) {
        if let Some((_, who)) = self.plans.remove(&question) {
            let _ = who.send(result.map(|plan| *plan));
        }
    }
}
