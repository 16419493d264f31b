//! The effects of `core` on the host: one file per effect.

mod allowance;
mod answers;
pub mod api;
mod bell;
pub mod binaries;
mod certificates;
mod changes;
pub mod client;
pub mod colour;
pub mod compose;
mod data;
mod descriptors;
pub mod doctor;
pub mod edge;
mod ended;
pub mod environment;
mod files;
pub mod fill;
pub mod harmless;
pub mod history;
mod hooks;
pub mod identity;
pub mod journal;
pub mod keeper;
pub mod last_resort;
pub mod launch;
pub mod limiter;
pub mod load;
pub mod logins;
pub mod logs;
pub mod machine;
pub mod maintenance;
pub mod nats;
mod net;
mod own;
pub mod own_log;
pub mod paths;
mod peer;
mod pressure;
mod priority;
mod private;
pub mod probes;
pub mod project;
pub mod reach;
mod rehearsal;
pub mod releases;
mod roles;
pub mod roots;
mod run_folder;
pub mod shims;
mod static_files;
mod supervise;
pub mod trust;
pub mod uptime;
pub mod usage;
mod users;
mod watch;
pub mod which;
mod writable;

pub use supervise::supervise;

/// The version of core.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Environment variable that holds the reason of a stop for a shutdown command.
pub(crate) const STOP_REASON: &str = "CORE_STOP_REASON";
