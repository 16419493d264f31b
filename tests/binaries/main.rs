//! How programs get into `.dep/`: fetched or built once, whole or not at all, and never to the harm of what runs.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;

mod boot;
mod broken;
mod build;
mod cargo;
mod ci;
mod escape;
mod fetch;
mod go;
mod held;
mod hooks;
mod lock;
mod machine;
mod npm;
mod order;
mod parcel;
mod pypi;
mod release;
mod rollback;
mod scene;
mod server;
mod shared;
mod shelf;
mod ship;

use common::trials;

fn main() {
    let mut all = trials::of(&[
        fetch::TESTS,
        shared::TESTS,
        order::TESTS,
        boot::TESTS,
        ci::TESTS,
        broken::TESTS,
        held::TESTS,
        escape::TESTS,
        lock::TESTS,
        build::TESTS,
        hooks::TESTS,
        release::TESTS,
        rollback::TESTS,
        ship::TESTS,
        pypi::TESTS,
        npm::TESTS,
        cargo::TESTS,
        go::TESTS,
    ]);
    all.extend(trials::of_root(&[build::AS_ROOT]));
    trials::run(all);
}
