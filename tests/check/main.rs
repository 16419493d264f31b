//! `core check` on broken manifests: each complaint is worth reading, and none is a crash.
//!
//! A case is a stack with one fault (or several), and a snapshot of what `core check` says. `INSTA_UPDATE=always` writes
//! the snapshots again; read them before you commit them.

#![allow(clippy::disallowed_macros, clippy::print_stderr, reason = "tests speak to whoever runs them")]

#[path = "../common/mod.rs"]
mod common;

mod circles;
mod config;
mod house;
mod manifest;
mod rendering;
mod schema;
mod stack;

use common::Stack;

/// What `core check` says of these files, without colours and with the root's own path taken out.
fn check(files: &[(&str, &str)]) -> String {
    let stack = Stack::new();
    for (path, text) in files {
        stack.write(path, text);
    }
    told(&stack)
}

fn told(stack: &Stack) -> String {
    let said = stack.core(&["check"]);
    assert_eq!(said.code, 2, "a broken manifest is code 2\n{}{}", said.out, said.err);
    assert_eq!(said.out, "", "complaints go to standard error");
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said.err.replace(&stack.root.display().to_string(), "<root>")
}

/// A service that is whole, for the faults of others.
const GOOD: &str = r#"{"process": {"command": "sleep", "args": ["1000"]}}"#;

/// Compares what is said of one manifest with the snapshot of this name.
macro_rules! faults {
    ($($name:ident: $($path:expr => $text:expr),+ $(,)?;)+) => {$(
        #[test]
        fn $name() {
            $crate::common::same!(stringify!($name), $crate::check(&[$(($path, $text)),+]));
        }
    )+};
}
use faults;
