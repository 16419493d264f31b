//! What goes over the control socket, and stands in `.core-stack/history.jsonl`, of what was done.

use std::collections::BTreeMap;

use core_engine::ids::Generation;
use core_engine::plan::Planned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/history`: generations and what operators did, the newest last.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// One each.
    pub entries: Vec<HistoryEntry>,
}

/// A generation, or something that an operator did; or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// Its name: that of its supervisor, `.`, and the number of the operation.
    pub id: String,
    /// When it began: RFC 3339, UTC.
    pub time: String,
    /// When it was over: RFC 3339, UTC.
    #[serde(default)]
    pub ended: Option<String>,
    /// `up`, `down`, `start`, `stop`, `restart`, `scale`, `apply` or `kill`. A reading that nobody asked for is `apply`.
    pub verb: String,
    /// The services that were named.
    pub services: Vec<String>,
    /// How many replicas were asked for.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Who, or what, has caused it.
    pub by: HistoryCause,
    /// The generation before.
    pub from: Generation,
    /// The generation that it made, where it made one.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// The services that were changed, and why.
    pub changes: BTreeMap<String, Planned>,
    /// How it ended.
    pub outcome: HistoryOutcome,
}

/// Who, or what, has caused something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryCause {
    /// `user`: somebody at the control socket; `start`: the stack was started; `supervisor`: one came back to what was
    /// running; `source`: another source was taken for a binary; `edit`: manifests were edited, and are followed; `signal`.
    pub kind: String,
    /// The number of the user.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The name of the user, where there is one.
    #[serde(default)]
    pub user: Option<String>,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HistoryOutcome {
    /// Not yet.
    UnderWay,
    /// It came true.
    Done,
    /// It did not.
    Failed {
        /// Why.
        message: String,
        /// The invocation whose log says more: `web-0@7.3`.
        culprit: Option<String>,
    },
    /// A newer generation changed the same services before it came true.
    Replaced {
        /// The newer one.
        by: Generation,
    },
    /// Its supervisor died before it was known.
    CutShort,
}

impl HistoryEntry {
    /// Whether it is about a service: it changed it, named it, or failed by it; or it was about the whole stack.
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
