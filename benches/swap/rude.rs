//! Clients of bad manners, in steady state and while the app is replaced.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::load::Load;
use crate::common::rude::{Manner, Paths, Tally, ask};
use crate::figures::Figures;
use crate::place::{Place, rest};
use crate::rows::shape;
use crate::settings::Settings;

/// Of the app with what is in `app/`.
const PATHS: Paths = Paths { early: "/api/bench/early", upload: "/api/bench/upload", hello: "/api/hello" };
/// Answers in steady state.
const STEADY: usize = 100_000;
/// Clients of each manner.
const CLIENTS: usize = 2;

/// Each manner by several clients, all at once.
pub(crate) fn take(settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let count = AtomicUsize::new(0);
    let began = Instant::now();
    let tallies = clients(place, &|number: usize| {
        let _ = number;
        count.fetch_add(1, Ordering::Relaxed) < STEADY
    });
    note(figures, "rude clients, steady", tallies, began.elapsed());
    place.settle();
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let tallies = std::thread::scope(|scope| {
        let asking = scope.spawn(|| clients(place, &|_| !stop.load(Ordering::Relaxed)));
        // What the swaps are measured by: a client of good manners, who asks for little.
        let load = Load::begin(shape(place.address(), 1, Some(10), false));
        for number in 0..settings.swaps {
            place.swap(&load, 500_000 + number);
            rest();
        }
        let polite = load.end();
        assert!(polite.failures().is_empty(), "{:?}", polite.failures());
        stop.store(true, Ordering::Relaxed);
        asking.join().expect("the clients")
    });
    note(figures, &format!("rude clients, {} swaps", settings.swaps), tallies, began.elapsed());
}

fn clients(place: &Place, goes_on: &(dyn Fn(usize) -> bool + Sync)) -> Vec<(Manner, Tally)> {
    let address = place.address();
    std::thread::scope(|scope| {
        let begin = |manner| {
            let address = &address;
            scope.spawn(move || (manner, ask(address, PATHS, manner, goes_on)))
        };
        let all: Vec<_> = Manner::ALL.iter().flat_map(|manner| [*manner; CLIENTS]).map(begin).collect();
        all.into_iter().map(|one| one.join().expect("a client")).collect()
    })
}

fn note(figures: &mut Figures, row: &str, tallies: Vec<(Manner, Tally)>, took: Duration) {
    for manner in Manner::ALL {
        let of_it = || tallies.iter().filter(|(one, _)| *one == manner).map(|(_, tally)| tally);
        let answers: usize = of_it().map(|tally| tally.answers).sum();
        let broken: Vec<&String> = of_it().flat_map(|tally| &tally.broken).collect();
        for message in broken.iter().take(5) {
            eprintln!("      {}: {message}", manner.word());
        }
        let note = format!("{} broken of {} answers", broken.len(), answers + broken.len());
        figures.line(&format!("{row}, {}:", manner.word()), took, &note);
    }
}
