//! A few of the random sequences, always the same ones; `cargo bench --bench faults` runs many.

use crate::common::trials::{Test, tests};
use crate::random::{self, Settings};

pub(crate) const TESTS: &[Test] = tests![all_is_well_after_random_faults, all_is_well_after_other_random_faults];

/// Sequences of each test.
const SEQUENCES: u64 = 10;

fn are_well(seed: u64) {
    let settings =
        Settings { seed, sequences: SEQUENCES, workers: 1, of_a_life: SEQUENCES, breaks: 1, only: Vec::new() };
    println!("seeds {seed} to {}; SEED=n cargo bench --bench faults runs one", seed + SEQUENCES - 1);
    let figures = random::run(&settings);
    println!("{}", figures.table());
    let broken: Vec<String> =
        figures.broken.iter().map(|one| format!("{}: {}", one.seed, one.lacks.join("; "))).collect();
    assert!(broken.is_empty(), "broken: {broken:#?}");
}

fn all_is_well_after_random_faults() {
    are_well(1);
}

fn all_is_well_after_other_random_faults() {
    are_well(1001);
}
