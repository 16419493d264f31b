//! Deploys and rollbacks of two releases of the real app, under load; and a build beside what serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::load::{Load, Outcome};
use crate::common::{http, until};
use crate::figures::Figures;
use crate::place::{Place, rest};
use crate::rows::shape;
use crate::settings::Settings;

/// Requests a second, half of them on new connections.
const RATE: u32 = 100;
/// How many times a release is rolled back.
const ROLLBACKS: usize = 10;
/// A deploy every so often.
const EVERY: Duration = Duration::from_secs(5);

/// The load of these rows.
pub(crate) struct Halves(pub(crate) Load, Load);

impl Halves {
    pub(crate) fn begin(place: &Place) -> Self {
        let half = |fresh| Load::begin(shape(place.address(), 5, Some(RATE / 2), fresh));
        Self(half(false), half(true))
    }

    pub(crate) fn end(self) -> Outcome {
        let (mut outcome, other) = (self.0.end(), self.1.end());
        outcome.samples.extend(other.samples);
        outcome.reopened += other.reopened;
        outcome
    }
}

/// The load of the same time without anything.
fn without(place: &Place, span: Duration) -> Outcome {
    let load = Halves::begin(place);
    std::thread::sleep(span);
    load.end()
}

/// Writes another page, and deploys it.
fn deploy(place: &Place, page: &str) {
    let text =
        format!("export const dynamic = 'force-dynamic'\nexport function GET() {{ return Response.json('{page}') }}\n");
    place.demo.stack.write("services/web/app/app/api/page/route.ts", &text);
    place.demo.stack.ok(&["deploy", "--service", "web", "--timeout", "120"]);
}

/// Twenty deploys of two releases that are there, and rollbacks while the release before is warm.
pub(crate) fn take(settings: &Settings, place: &Place, figures: &mut Figures) {
    let stack = &place.demo.stack;
    // Each deploy boots: what was there before is gone.
    let keep_warm = |minutes: u32| {
        stack.edit("web", |manifest| manifest["update"] = json!({"warm_minutes": minutes}));
        stack.ok(&["apply", "--timeout", "120"]);
    };
    keep_warm(0);
    for page in ["a", "b"] {
        deploy(place, page);
    }
    let others =
        || -> Vec<u32> { ["caddy", "nats", "pocketbase"].iter().flat_map(|name| stack.pids_of(name)).collect() };
    let before = others();
    drop(without(place, Duration::from_secs(8)));
    let swaps = usize::try_from(settings.swaps).unwrap_or(20);
    let load = Halves::begin(place);
    let began = Instant::now();
    let mut windows = Vec::new();
    for number in 0..swaps {
        let (from, at) = (load.0.began.elapsed(), Instant::now());
        deploy(place, ["a", "b"][number % 2]);
        windows.push((from, load.0.began.elapsed()));
        std::thread::sleep(EVERY.saturating_sub(at.elapsed()));
    }
    let span = began.elapsed();
    let with = load.end();
    figures.note("deploys, 100 rps", &with, &windows, &format!("{swaps} deploys in {:.0} s", span.as_secs_f64()));
    figures.compare("deploys against the same time without", &with, &without(place, span), "");
    keep_warm(10);
    rollbacks(place, figures);
    assert_eq!(others(), before, "no other service was touched");
}

fn rollbacks(place: &Place, figures: &mut Figures) {
    let load = Halves::begin(place);
    let (mut windows, mut longest) = (Vec::new(), Duration::ZERO);
    for _ in 0..ROLLBACKS {
        // The other one serves.
        deploy(place, "a");
        until("the one before is warm", || place.demo.stack.instances("web").iter().any(|one| one["phase"] == "warm"));
        rest();
        let newer = serving(place).expect("a release");
        let witness = Witness::begin(place);
        let (from, began) = (load.0.began.elapsed(), Instant::now());
        place.demo.stack.ok(&["rollback", "--service", "web"]);
        let returned = began.elapsed();
        rest();
        windows.push((from, load.0.began.elapsed()));
        let last = witness.end().get(&newer).map_or(Duration::ZERO, |last| last.saturating_duration_since(began));
        figures.line(
            "rollback while warm: the last answer of the newer release after",
            last,
            &format!("the command took {returned:?}"),
        );
        longest = longest.max(last);
        until("the newer one has ended", || place.demo.stack.pids_of("web").len() == 1);
    }
    figures.line("longest of them", longest, "asked: under 1 s");
    figures.note("rollbacks while warm, 100 rps", &load.end(), &windows, &format!("{ROLLBACKS} rollbacks"));
}

/// A build of the same app, while it serves.
pub(crate) fn build(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    deploy(place, "before");
    let calm = without(place, Duration::from_secs(20));
    let load = Halves::begin(place);
    let from = load.0.began.elapsed();
    place
        .demo
        .stack
        .write("services/web/app/app/api/page/route.ts", "export function GET() { return Response.json('built') }\n");
    place.demo.stack.ok(&["build", "--service", "web", "--profile", "test", "-o", "web.tar.zst"]);
    let window = (from, load.0.began.elapsed());
    let with = load.end();
    figures.note(
        "a build beside it, 100 rps",
        &with,
        &[window],
        &format!("{:.0} s", window.1.saturating_sub(window.0).as_secs_f64()),
    );
    figures.compare("a build against a time without", &with, &calm, "");
}

/// The release that answers.
fn serving(place: &Place) -> Option<String> {
    let (_, body) = http::get(&format!("{}/api/health", place.demo.page))?;
    Some(serde_json::from_str::<Value>(&body).ok()?["release"].as_str()?.to_owned())
}

/// Asks all the time which release answers.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<String, Instant>>,
}

impl Witness {
    fn begin(place: &Place) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, page) = (Arc::clone(&stop), format!("{}/api/health", place.demo.page));
        let thread = std::thread::spawn(move || {
            let mut last = BTreeMap::new();
            while !asked.load(Ordering::Relaxed) {
                let body = http::get(&page).map(|(_, body)| body).unwrap_or_default();
                if let Some(release) = serde_json::from_str::<Value>(&body).unwrap_or_default()["release"].as_str() {
                    last.insert(release.to_owned(), Instant::now());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            last
        });
        Self { stop, thread }
    }

    /// When each release answered last.
    fn end(self) -> BTreeMap<String, Instant> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the witness")
    }
}
