//! What `core` must survive: what was once seen to break it, one recipe each, and sequences of faults at random.
//!
//! This binary is its own services (`random/role.rs`), so that a fresh clone needs nothing else to be built.

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests speak to whoever runs them"
)]

#[path = "../common/mod.rs"]
mod common;

mod checker;
mod codes;
mod copies;
mod cut_short;
mod descriptors;
mod one_shim;
mod orders;
mod program;
mod random;
mod sequences;
mod strangers;
mod waits;

use common::trials;
use libtest_mimic::Arguments;

/// Tests at the same time: most of them wait most of the time.
const THREADS: usize = 4;

fn main() {
    if random::role::ran() {
        return;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = trials::of(&[
        one_shim::TESTS,
        strangers::TESTS,
        orders::TESTS,
        waits::TESTS,
        codes::TESTS,
        copies::TESTS,
        cut_short::TESTS,
        descriptors::TESTS,
        program::TESTS,
        checker::TESTS,
        sequences::TESTS,
    ]);
    libtest_mimic::run(&arguments, trials).exit();
}
