//! The mind of `core`.
//!
//! One synchronous function, [`Engine::step`], owns all state: it takes the time and an event, and returns actions.
//! Nothing here waits, reads a clock, a file or the environment, or draws from anything but a seed in its state; so a
//! history of events always gives the same actions, and hundreds of thousands of random histories can be checked
//! against the promises (`tests/histories.rs`), and every decision shown in a script (`tests/scripts/` at the root).
//!
//! ```text
//! Topology(old) x Topology(new) --diff--> Plan
//! Event --step--> State + [Action]
//! Action --hands--> effect --> Event
//! ```

pub mod action;
pub mod command;
pub mod diff;
pub mod driver;
pub mod engine;
pub mod event;
pub mod exit;
mod fields;
pub mod ids;
#[cfg(feature = "mutations")]
pub mod mutation;
pub mod phase;
pub mod plan;
pub mod record;
pub mod saved;
pub mod time;
pub mod topology;

pub use action::Action;
pub use engine::Engine;
pub use event::Event;
pub use ids::{Generation, InstanceId, InvocationId, SlotId};
pub use plan::Plan;
pub use saved::Saved;
pub use time::Time;
pub use topology::Topology;
