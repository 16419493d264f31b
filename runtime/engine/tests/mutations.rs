//! Each named fault of the engine is caught by the histories: the promises are checked, not merely stated.

mod world;

use core_engine::mutation::Mutation;
use world::World;

/// Histories to find a fault in. Most are found within the first dozen.
const ENOUGH: u64 = 20_000;

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
