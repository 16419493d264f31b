//! What the answers to requests are made from.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use core_stack::Hidden;
use tokio::sync::{mpsc, watch};

use super::Ask;
use crate::history;
use crate::paths::Paths;

/// What the answers to requests are made from.
#[derive(Clone)]
pub struct Server {
    /// Requests to the loop that owns the state.
    pub asks: mpsc::Sender<Ask>,
    /// Changes with every step of the engine.
    pub steps: watch::Receiver<u64>,
    /// The folders of the stack.
    pub paths: Paths,
    /// The number of requests that are being answered.
    pub open: Arc<AtomicUsize>,
    /// The writer of the history.
    pub history: history::Writer,
    /// Secrets, which are never shown.
    pub hidden: Hidden,
}

/// Splits names that are separated by commas.
pub(super) fn listed(names: &str) -> Vec<String> {
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
