//! Stacks of real processes: what a user does, and what the kernel says of it.
//!
//! This binary is the fixture too: started with `fixture …` it is a service with knobs (`tests/fixture`), so that a
//! fresh clone needs nothing else to be built.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../fixture/mod.rs"]
mod fixture;

mod control;
mod disk;
mod edge;
mod first;
mod found;
mod hidden;
mod history;
mod kill;
mod lifecycle;
mod logs;
mod notify;
mod order;
mod own_log;
mod ports;
mod refused;
mod rights;
mod rotation;
mod scarce;
mod silent;
mod socket;
mod truth;
mod users;
mod version;
mod watch;

use common::trials;

fn main() {
    if fixture::ran() {
        return;
    }
    let mut all = trials::of_root(&[users::AS_ROOT]);
    all.extend(trials::of(&[
        lifecycle::TESTS,
        order::TESTS,
        ports::TESTS,
        rotation::TESTS,
        hidden::TESTS,
        truth::TESTS,
        watch::TESTS,
        kill::TESTS,
        logs::TESTS,
        own_log::TESTS,
        edge::TESTS,
        socket::TESTS,
        notify::TESTS,
        first::TESTS,
        history::TESTS,
        refused::TESTS,
        scarce::TESTS,
        disk::TESTS,
        silent::TESTS,
        control::TESTS,
        version::TESTS,
        rights::TESTS,
        found::TESTS,
    ]));
    trials::run(all);
}
