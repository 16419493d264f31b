//! What runs the tests of a program that has a `main` of its own.

#![allow(clippy::print_stderr, clippy::disallowed_macros, reason = "tests speak to whoever runs them")]

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

/// A test: its name, and what it does.
pub(crate) type Test = (&'static str, fn());

/// Tests at once for each processor: most of them wait for processes.
const PER_PROCESSOR: usize = 3;
/// How many of the slowest are named.
const SLOWEST: usize = 10;

/// How long each test took.
static TOOK: Mutex<Vec<(Duration, &'static str)>> = Mutex::new(Vec::new());

/// Tests, each under the name of its function.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), $name)),+]
    };
}
pub(crate) use tests;

/// Held by each test; by one that needs the machine for itself, alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// The tests of several files.
pub(crate) fn of(lists: &[&[Test]]) -> Vec<Trial> {
    let trial = |(name, test): Test| {
        Trial::test(name, move || {
            let _beside_others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
            let began = Instant::now();
            test();
            TOOK.lock().unwrap_or_else(PoisonError::into_inner).push((began.elapsed(), name));
            Ok(())
        })
    };
    lists.concat().into_iter().map(trial).collect()
}

/// Tests beside which no other one runs: what they look at takes parts of a millisecond.
pub(crate) fn of_alone(tests: &[Test]) -> Vec<Trial> {
    let trial = |&(name, test): &Test| {
        Trial::test(name, move || {
            let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            test();
            Ok(())
        })
    };
    tests.iter().map(trial).collect()
}

/// The tests of several files that only root can carry out; for others they are shown as ignored.
pub(crate) fn of_root(lists: &[&[Test]]) -> Vec<Trial> {
    let is_root = nix::unistd::geteuid().is_root();
    of(lists).into_iter().map(|trial| trial.with_ignored_flag(!is_root)).collect()
}

/// Runs them as the command line says, names the slowest, and exits with the result.
pub(crate) fn run(trials: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(PER_PROCESSOR * processors);
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut took = std::mem::take(&mut *TOOK.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_by(|one, other| other.cmp(one));
    if took.len() > SLOWEST {
        eprintln!("the slowest:");
        for (took, name) in &took[..SLOWEST] {
            eprintln!("{:>7.1} s  {name}", took.as_secs_f64());
        }
    }
    conclusion.exit()
}
