//! What people write, and what it means: the way from `service.json` to a [`spec::ServiceSpec`].
//!
//! ```text
//! text --tree::parse--> Node --tree::merge(profile)--> Node --Scope::resolve--> Node --Shape::check--> Manifest --spec::resolve--> ServiceSpec
//! ```
//!
//! Everything works on one tree of values that know their place ([`tree::Node`]), so that every complaint of every
//! stage points at the file, line and column somebody wrote, and all complaints come in one go. Nothing here reads a
//! file, a clock or the environment: what it needs, it is given.

pub mod diagnostic;
pub mod dotenv;
pub mod editor;
pub mod manifest;
pub mod name;
pub mod origin;
pub mod placeholder;
pub mod schema;
pub mod spec;
pub mod template;
pub mod tree;
pub mod variables;

pub use diagnostic::{Diagnostic, Problem, SourceFile, Span};
pub use manifest::{Manifest, StackManifest};
pub use name::{Identifier, ServiceName};
pub use spec::ServiceSpec;
pub use template::Template;
