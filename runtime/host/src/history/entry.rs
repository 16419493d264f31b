//! The types of the history, for the control socket and for `.core-stack/history.jsonl`.

use std::collections::BTreeMap;

use core_engine::ids::Generation;
use core_engine::plan::Planned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/history`: generations and commands of operators, the newest last.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The entries.
    pub entries: Vec<HistoryEntry>,
}

/// A new generation, a command of an operator, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// Its name: the name of its supervisor, `.`, and the number of the operation.
    pub id: String,
    /// When it started: RFC 3339, UTC.
    pub time: String,
    /// When it ended: RFC 3339, UTC.
    #[serde(default)]
    pub ended: Option<String>,
    /// `up`, `down`, `start`, `stop`, `restart`, `renew`, `scale`, `deploy`, `rollback`, `maintenance on`, `maintenance off`, `apply` (also if no
    /// user asked for it) or `kill`.
    pub verb: String,
    /// The services that the command named.
    pub services: Vec<String>,
    /// The number of replicas that was asked for.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// The release that a rollback went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The message of a deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who or what caused it.
    pub by: HistoryCause,
    /// The generation before it.
    pub from: Generation,
    /// The generation that it made, if it made one.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// The services that it changed, and why.
    pub changes: BTreeMap<String, Planned>,
    /// Its result.
    pub outcome: HistoryOutcome,
}

/// Who or what caused something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryCause {
    /// `user`: a user at the control socket; `start`: the stack was started; `supervisor`: a new supervisor took over;
    /// `source`: a binary needed another source; `edit`: a manifest was saved; `signal`: a signal.
    pub kind: String,
    /// The UID of the user.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The name of the user, if the host knows it.
    #[serde(default)]
    pub user: Option<String>,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HistoryOutcome {
    /// It has not ended.
    UnderWay,
    /// It reached its goal.
    Done,
    /// It failed.
    Failed {
        /// Why, as text for people.
        message: String,
        /// The invocation whose log says more: `web-0@7.3`.
        culprit: Option<String>,
    },
    /// A newer generation changed the same services before it reached its goal.
    Replaced {
        /// The newer generation.
        by: Generation,
    },
    /// Its supervisor died before the result was known.
    CutShort,
}

impl HistoryEntry {
    /// Whether it is about a service: it changed it, named it or failed because of it, or is about the whole stack.
    pub fn concerns(&self, service: &str) -> bool {
        let is_whole = self.services.is_empty() && self.changes.is_empty();
        let culprit = match &self.outcome {
            HistoryOutcome::Failed { culprit: Some(culprit), .. } => culprit.parse::<core_engine::InvocationId>().ok(),
            _ => None,
        };
        is_whole
            || self.changes.contains_key(service)
            || self.services.iter().any(|name| name == service)
            || culprit.is_some_and(|culprit| culprit.instance.service().as_str() == service)
    }
}
