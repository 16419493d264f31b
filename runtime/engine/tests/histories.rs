//! Random histories against the promises: stacks, edits, commands, and every fault the world knows, with a supervisor
//! that vanishes at any point and finds its instances again.
//!
//! `HISTORIES=n` sets how many; `SEED=n` runs one with its whole log.

#![expect(clippy::disallowed_methods, reason = "the purity rules are for the crate; its tests may look at a clock")]
#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::disallowed_macros, reason = "a test speaks to whoever runs it")]

mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use core_engine::mutation::Mutation;
use world::World;
use world::coverage::Coverage;

const DEFAULT: u64 = 20_000;
/// As many as continuous integration runs: in these, every pair of phase and event occurs.
const ALL: u64 = 200_000;
/// Histories to find a named fault in; most are found within the first dozen.
const ENOUGH: u64 = 20_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_history_keeps_every_promise() {
    if let Some(seed) = number("SEED") {
        let mut world = World::new(seed, None, true);
        let result = world.history();
        println!("{}", world.log.join("\n"));
        assert_eq!(result, Ok(()));
        return;
    }
    let count = number("HISTORIES").unwrap_or(DEFAULT);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let began = Instant::now();
    let results: Vec<(Coverage, u64, Vec<String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut coverage = Coverage::default();
                    let (mut steps, mut failures) = (0, Vec::new());
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= count || failures.len() >= 5 {
                            return (coverage, steps, failures);
                        }
                        let mut world = World::new(seed, None, false);
                        if let Err(broken) = world.history() {
                            failures.push(format!("SEED={seed}: {broken}"));
                        }
                        coverage.merge(&world.coverage);
                        steps += world.steps;
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut coverage = Coverage::default();
    let (mut steps, mut failures) = (0, Vec::new());
    for (one, of_worker, mut broken) in results {
        coverage.merge(&one);
        steps += of_worker;
        failures.append(&mut broken);
    }
    println!("{count} histories, {steps} steps, {:.1} s", began.elapsed().as_secs_f64());
    println!("{}", coverage.table());
    println!("On average a history has\n{}", coverage.averages(count));
    assert!(failures.is_empty(), "broken promises:\n{}", failures.join("\n"));
    let too_few = coverage.too_few(count);
    assert!(too_few.is_empty(), "histories have too few of these: {too_few:?}");
    let missing = coverage.missing();
    // The rarest pairs take their time.
    assert!(count < ALL || missing.is_empty(), "pairs that may occur and did not: {missing:?}");
}

/// Each named fault of the engine is caught: the promises are checked, not merely stated.
#[test]
fn every_mutation_is_caught() {
    let mut survivors = Vec::new();
    for mutation in Mutation::ALL {
        let caught = (0..ENOUGH).find_map(|seed| {
            let mut world = World::new(seed, Some(mutation), false);
            world.history().err().map(|broken| (seed, broken))
        });
        match caught {
            Some((seed, broken)) => println!("{mutation:?}: caught by history {seed}: {broken}"),
            None => survivors.push(mutation),
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}
