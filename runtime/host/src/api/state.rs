//! What requests are answered with.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use core_stack::Hidden;
use tokio::sync::{mpsc, watch};

use super::Ask;
use crate::history;
use crate::paths::Paths;

/// What requests are answered with.
#[derive(Clone)]
pub struct Server {
    /// The loop that owns the state.
    pub asks: mpsc::Sender<Ask>,
    /// Changes with every step of the engine.
    pub steps: watch::Receiver<u64>,
    /// The folders of the stack.
    pub paths: Paths,
    /// Requests that are being answered.
    pub open: Arc<AtomicUsize>,
    /// Writes what was done.
    pub history: history::Writer,
    /// What is not shown.
    pub hidden: Hidden,
}

/// Names with commas between them.
pub(super) fn listed(names: &str) -> Vec<String> {
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
