//! The decisions of `core`, as a pure state machine.
//!
//! One synchronous function, [`Engine::step`], owns all state: it takes the time and an event, and returns actions.
//! Nothing here waits, or reads a clock, a file or the environment, and the only randomness comes from a seed in its
//! state. So the same history of events always gives the same actions: hundreds of thousands of random histories are
//! checked against the promises (`tests/histories.rs`), and every decision has a script (`tests/scripts/` at the root).
//!
//! ```text
//! Topology(old) x Topology(new) --diff--> Plan
//! Event --step--> State + [Action]
//! Action --hands--> effect --> Event
//! ```

pub mod action;
pub mod check;
pub mod command;
pub mod diff;
pub mod driver;
pub mod engine;
pub mod event;
pub mod exit;
mod fields;
pub mod folder;
pub mod ids;
pub mod maintenance;
#[cfg(feature = "mutations")]
pub mod mutation;
pub mod phase;
pub mod plan;
pub mod record;
pub mod saved;
pub mod time;
pub mod topology;
pub(crate) mod trail;
pub mod trial;

pub use action::Action;
pub use engine::Engine;
pub use event::Event;
pub use ids::{Generation, InstanceId, InvocationId, SlotId};
pub use plan::Plan;
pub use saved::Saved;
pub use time::Time;
pub use topology::Topology;
