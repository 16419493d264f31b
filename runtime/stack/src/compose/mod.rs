//! `.core-stack/process-compose.yaml`: the stack as a project of process-compose, so that leaving core is one command.
//!
//! ```text
//! stack --project--> values --yaml--> text
//! ```
//!
//! The host writes it. What came from the environment, `.env` or a secret is a piece of a template of
//! its own, and stands as `${VAR}` in it. The generated files that belong to it are those of the drivers; only
//! Caddy has others, for without core it listens and dials itself.

mod entry;
mod extra;
mod making;
mod probe;
mod project;
mod slot;
mod text;
mod variables;
mod yaml;

pub use project::{File, Project, project};
