//! Who waits for an answer of the engine, over the control socket.

use std::collections::HashMap;

use core_engine::plan::Plan;
use core_manifest::Problem;
use tokio::sync::oneshot;

use crate::api::{Accepted, Acknowledge, Refusal};

/// Those who wait.
#[derive(Default)]
pub(super) struct Askers {
    operations: HashMap<u64, Waiting>,
    plans: HashMap<u64, oneshot::Sender<Result<Plan, Vec<Problem>>>>,
    /// Number of the last question.
    questions: u64,
}

/// Somebody who has asked for an operation.
pub(super) enum Waiting {
    /// It is a command.
    Command(Acknowledge),
    /// It ends the stack, which takes so many seconds at the most, and is held up by nothing.
    End(Acknowledge, f64),
    /// The manifests are to be carried out.
    Apply(oneshot::Sender<Result<u64, Refusal>>),
}

impl Askers {
    /// Somebody waits for an operation.
    pub(super) fn wait(&mut self, operation: u64, who: Waiting) {
        self.operations.insert(operation, who);
    }

    /// Somebody waits for a plan. Returns the number of the question.
    pub(super) fn wait_for_plan(&mut self, who: oneshot::Sender<Result<Plan, Vec<Problem>>>) -> u64 {
        self.questions += 1;
        self.plans.insert(self.questions, who);
        self.questions
    }

    /// An operation has begun, and what it changed is on disk, or is not for this reason.
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

    /// The manifests are broken.
    pub(super) fn refused(&mut self, operation: u64, problems: Vec<Problem>) {
        if let Some(Waiting::Apply(who)) = self.operations.remove(&operation) {
            let _ = who.send(Err(Refusal::Broken(problems)));
        }
    }

    /// What the manifests would change.
    pub(super) fn planned(&mut self, question: u64, result: Result<Box<Plan>, Vec<Problem>>) {
        if let Some(who) = self.plans.remove(&question) {
            let _ = who.send(result.map(|plan| *plan));
        }
    }
}
