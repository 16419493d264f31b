//! A real Caddy in front of services with knobs: what its clients see while what is behind it, or Caddy itself, is
//! replaced. (The real app under a longer load is in `benches/swap`.)
//!
//! Caddy is fetched into the checkout's `.dep/`, as `core up` does. This binary is the fixture too, see `tests/fixture`.

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

mod bad_deploys;
mod beside;
mod broken;
mod edited;
mod open;
mod pages;
mod place;
mod public;
mod releases;
mod skew;
mod terms;
mod tls;
mod verified;
mod who;

use common::trials;

fn main() {
    if fixture::ran() {
        return;
    }
    trials::run(trials::of(&[
        edited::TESTS,
        bad_deploys::TESTS,
        broken::TESTS,
        open::TESTS,
        pages::TESTS,
        releases::TESTS,
        skew::TESTS,
        public::TESTS,
        beside::TESTS,
        terms::TESTS,
        tls::TESTS,
        verified::TESTS,
        who::TESTS,
    ]));
}
