//! Faults at random on real processes: sequences of a few of them, each followed by a look at whether all is well again.
//!
//! A worker has one stack for some sequences (`life.rs`), and another one when something broke. The same seed makes the
//! same faults; what they meet is a matter of time.

#![allow(dead_code, reason = "each program uses its own part of this")]

mod asked;
mod check;
pub(crate) mod dice;
mod fault;
pub(crate) mod knock;
pub(crate) mod life;
pub(crate) mod lines;
pub(crate) mod role;
pub(crate) mod sequence;
pub(crate) mod squeeze;
pub(crate) mod tally;
pub(crate) mod tried;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use life::Life;
use tally::{Broken, Figures};

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The seed of the first sequence; each next one has the next number.
    pub(crate) seed: u64,
    pub(crate) sequences: u64,
    /// Stacks at the same time.
    pub(crate) workers: usize,
    /// Sequences of a stack, from `core up` to `core down`.
    pub(crate) of_a_life: u64,
    /// After how many that broke the rest is left out.
    pub(crate) breaks: usize,
    /// Parts of the names of faults: only those; none is all of them.
    pub(crate) only: Vec<String>,
}

/// Runs sequences, and says of each that broke what did.
pub(crate) fn run(settings: &Settings) -> Figures {
    let (next, breaks, all) = (AtomicU64::new(0), AtomicUsize::new(0), Mutex::new(Figures::default()));
    std::thread::scope(|scope| {
        for _ in 0..settings.workers {
            scope.spawn(|| {
                while next.load(Ordering::Relaxed) < settings.sequences
                    && breaks.load(Ordering::Relaxed) < settings.breaks
                {
                    let mut figures = Figures::default();
                    // A panic is a fault of this program's; it must not hide what the others have found.
                    let lived = catch_unwind(AssertUnwindSafe(|| live(settings, &next, &mut figures)));
                    if lived.is_err() {
                        figures.broken.push(broken(0, "the checker panicked".into(), Default::default()));
                    }
                    breaks.fetch_add(figures.broken.len(), Ordering::Relaxed);
                    for one in &figures.broken {
                        println!("{}\n", one.words());
                    }
                    all.lock().unwrap_or_else(PoisonError::into_inner).add(figures);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One stack.
fn live(settings: &Settings, next: &AtomicU64, figures: &mut Figures) {
    let mut life = match Life::begin() {
        Ok(life) => life,
        Err(fault) => return figures.broken.push(broken(settings.seed, fault, Default::default())),
    };
    let mut last = settings.seed;
    for _ in 0..settings.of_a_life {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= settings.sequences {
            break;
        }
        last = settings.seed + number;
        let came = sequence::run(&mut life, last, &settings.only, figures);
        figures.sequences += 1;
        if let Err(broken) = came {
            figures.lines += life.lines.total();
            return figures.broken.push(broken);
        }
    }
    figures.lines += life.lines.total();
    match life.end() {
        Ok(took) => figures.down.push(took),
        Err((folder, fault)) => figures.broken.push(broken(last, fault, folder)),
    }
}

fn broken(seed: u64, fault: String, folder: std::path::PathBuf) -> Broken {
    let log = std::fs::read_to_string(folder.join(".core-stack/core.log")).unwrap_or_default();
    Broken { seed, told: Vec::new(), lacks: vec![fault], log: tried::tail(&log, 30), folder }
}
