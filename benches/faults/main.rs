//! Many random sequences of faults on real processes: `cargo bench --bench faults`.
//!
//! What is done and what is checked stands in `tests/faults/random`. It prints what was injected, how long it took until
//! all was well again, and each sequence that broke; and exits with 1 when one did.
//!
//! | variable | default | |
//! |---|---|---|
//! | `SEQUENCES=n` | 1000 | how many; the ratio of those that break must be 0 |
//! | `SEED=n` | | one sequence alone, or with `SEQUENCES` those from it on |
//! | `WORKERS=n` | 2 | stacks at the same time |
//! | `LIFE=n` | 25 | sequences of a stack, from `core up` to `core down` |
//! | `BREAKS=n` | 10 | after how many that broke the rest is left out |
//! | `ONLY=a,b` | all | parts of names of faults, as the table shows them |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/faults/random/mod.rs"]
mod random;

use std::process::ExitCode;

use random::Settings;

fn main() -> ExitCode {
    if random::role::ran() {
        return ExitCode::SUCCESS;
    }
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let number = |name: &str| text(name).parse::<u64>().ok();
    let few =
        |name: &str, default: usize| number(name).and_then(|number| usize::try_from(number).ok()).unwrap_or(default);
    let seed = number("SEED");
    let settings = Settings {
        seed: seed.unwrap_or(1),
        sequences: number("SEQUENCES").unwrap_or(if seed.is_some() { 1 } else { 1000 }),
        workers: few("WORKERS", 2),
        of_a_life: number("LIFE").unwrap_or(25),
        breaks: few("BREAKS", 10),
        only: text("ONLY").split(',').filter(|words| !words.is_empty()).map(str::to_owned).collect(),
    };
    let began = std::time::Instant::now();
    let figures = random::run(&settings);
    println!("{}", figures.table());
    let (sequences, broken) = (figures.sequences, figures.broken.len());
    println!("{broken} of {sequences} broken, in {:.0} s", began.elapsed().as_secs_f64());
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
