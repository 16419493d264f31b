//! What people write and what it means: from `service.json` to a [`spec::ServiceSpec`].
//!
//! ```text
//! text --tree::parse--> Node --tree::merge(profile)--> Node --Scope::resolve--> Node --Shape::check--> Manifest --spec::resolve--> ServiceSpec
//! ```
//!
//! Everything works on one tree of values that know their place ([`tree::Node`]), so every error of every stage points
//! at the file, line and column where it was written, and all errors are reported at once. Nothing here reads a file, a
//! clock or the environment: everything is passed in.

pub mod diagnostic;
pub mod dotenv;
pub mod editor;
pub mod logins;
pub mod manifest;
pub mod name;
pub mod named;
pub mod network;
pub mod origin;
pub mod placeholder;
pub mod schema;
pub mod spec;
pub mod template;
pub mod tree;
pub mod unbelieved;
pub mod variables;

pub use diagnostic::{Diagnostic, Problem, SourceFile, Span};
pub use manifest::{Manifest, StackManifest};
pub use name::{Identifier, ServiceName};
pub use spec::ServiceSpec;
pub use template::Template;
pub use unbelieved::UNBELIEVED;
