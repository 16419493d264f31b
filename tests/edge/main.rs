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

mod access;
mod bad_deploys;
mod beside;
mod broken;
mod certificates;
mod edited;
mod forged;
mod http3;
mod leads;
mod maintenance;
mod on_demand;
mod open;
mod pages;
mod place;
mod ports;
mod public;
mod rate;
mod releases;
mod skew;
mod terms;
mod tls;
mod trust;
mod uptime;
mod verified;
mod who;

use common::trials;

fn main() {
    if fixture::ran() {
        return;
    }
    let mut all = trials::of(&[
        access::TESTS,
        edited::TESTS,
        bad_deploys::TESTS,
        broken::TESTS,
        open::TESTS,
        pages::TESTS,
        releases::TESTS,
        skew::TESTS,
        ports::TESTS,
        public::TESTS,
        rate::TESTS,
        beside::TESTS,
        forged::TESTS,
        terms::TESTS,
        tls::TESTS,
        certificates::TESTS,
        on_demand::TESTS,
        http3::TESTS,
        leads::TESTS,
        maintenance::TESTS,
        trust::TESTS,
        uptime::TESTS,
        verified::TESTS,
        who::TESTS,
    ]);
    all.extend(trials::of_alone(open::ALONE));
    all.extend(trials::of_root(&[leads::OF_ROOT, ports::OF_ROOT, trust::OF_ROOT]));
    trials::run(all);
}
