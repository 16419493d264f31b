//! `.core-stack/process-compose.yaml`: the stack as a project of process-compose, so that one command leaves core.
//!
//! ```text
//! stack --project--> values --yaml--> text
//! ```
//!
//! The host writes the file. A value from the environment, `.env` or a secret is a separate piece of a template, and is
//! written as `${VAR}`. The generated files that go with it are those of the drivers, except for Caddy, which has to
//! listen and dial by itself without core.

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
