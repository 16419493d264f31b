//! The README's commands for a service of your own, run as they stand there; and the script that the README begins with.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::process::Command;

use common::readme::{bin, commands, run};
use common::{CORE, Said, Stack, checkout, free_port, put_program};

#[test]
fn a_service_of_your_own_works() {
    let folder = tempfile::Builder::new().prefix("core-readme-").tempdir().expect("a folder");
    let root = fs::canonicalize(folder.path()).expect("the folder");
    // It goes out of sight last, and ends what is left.
    let stack = Stack::at(root.join("hello"), None);
    fs::remove_dir_all(&stack.root).expect("an empty beginning");
    // The same commands, on a port that is free.
    let script = commands("A service of your own").replace("3000", &free_port().to_string());
    assert!(script.contains("core up -d") && script.contains("core down"), "{script}");
    let said = run(&script, &root, &bin(&root));
    for words in ["ok 1 service", "Hello from core", "greeter-0@1", "visitor-0@2", "visitor-0 | Hello from core"] {
        assert!(said.out.contains(words), "{words}");
    }
    let run = stack.run_folder();
    stack.expect_nothing_left(run.as_deref());
}

/// `./core` runs what was built while nothing is newer, from anywhere, and does not change the folder.
#[test]
fn the_script_builds_only_when_a_source_is_newer() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for path in ["cmd/core", "runtime", "services", "target/release"] {
        fs::create_dir_all(root.join(path)).expect("a folder");
    }
    for file in ["Cargo.toml", "Cargo.lock", "cmd/core/main.rs"] {
        fs::write(root.join(file), "").expect("a file");
    }
    fs::copy(checkout().join("core"), root.join("core")).expect("the script");
    fs::copy(CORE, root.join("target/release/core")).expect("the program");
    fs::copy(env!("CARGO_BIN_EXE_core-shim"), root.join("target/release/core-shim")).expect("the other program");
    // A cargo that only says that it was called, and cannot build.
    put_program(&root.join("bin/cargo"), "#!/bin/sh\necho building >&2\nexit 1\n");
    let run = || {
        let path = format!("{}:/usr/bin:/bin", root.join("bin").display());
        let mut command = Command::new(root.join("core"));
        command.arg("--version").current_dir("/").env("PATH", path).env_remove("CARGO_TARGET_DIR");
        Said::of(command.output().expect("the script runs"))
    };
    let said = run();
    assert!(said.code == 0 && said.out.starts_with("core "), "{said:?}");
    let built = fs::metadata(root.join("target/release/core")).and_then(|meta| meta.modified()).expect("its time");
    for newer in ["Cargo.lock", "cmd/core/main.rs"] {
        let file = fs::File::options().write(true).open(root.join(newer)).expect("the file");
        file.set_modified(built + std::time::Duration::from_secs(10)).expect("a time");
        let said = run();
        assert!(said.code != 0 && said.err.contains("building"), "{newer}: {said:?}");
        file.set_modified(built - std::time::Duration::from_secs(10)).expect("a time");
    }
    assert_eq!(run().code, 0);
}
