//! What runs the tests of a program that has a `main` of its own.

use libtest_mimic::{Arguments, Trial};

/// A test: its name, and what it does.
pub(crate) type Test = (&'static str, fn());

/// Tests, each under the name of its function.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), $name)),+]
    };
}
pub(crate) use tests;

/// The tests of several files.
pub(crate) fn of(lists: &[&[Test]]) -> Vec<Trial> {
    let trial = |(name, test): Test| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    lists.concat().into_iter().map(trial).collect()
}

/// The tests of several files that only root can carry out; for others they are shown as ignored.
pub(crate) fn of_root(lists: &[&[Test]]) -> Vec<Trial> {
    let is_root = nix::unistd::geteuid().is_root();
    of(lists).into_iter().map(|trial| trial.with_ignored_flag(!is_root)).collect()
}

/// Runs them as the command line says, and ends with what came of it.
pub(crate) fn run(trials: Vec<Trial>) -> ! {
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}
