//! What `core` must survive: what was once seen to break it, one recipe each, and sequences of faults at random.
//!
//! This binary is its own services (`random/role.rs`), so that a fresh clone needs nothing else to be built.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests speak to whoever runs them")]

#[path = "../common/mod.rs"]
mod common;

mod codes;
mod copies;
mod cut_short;
mod one_shim;
mod orders;
mod program;
mod random;
mod sequences;
mod strangers;
mod waits;

use common::trials;

fn main() {
    if random::role::ran() {
        return;
    }
    trials::run(trials::of(&[
        one_shim::TESTS,
        strangers::TESTS,
        orders::TESTS,
        waits::TESTS,
        codes::TESTS,
        copies::TESTS,
        cut_short::TESTS,
        program::TESTS,
        sequences::TESTS,
    ]));
}
