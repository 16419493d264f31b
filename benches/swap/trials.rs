//! Previews and canaries of the real app, under load: made, promoted, removed, and a canary that is ended by its errors.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{http, proc, until};
use crate::deploys::Halves;
use crate::figures::Figures;
use crate::place::{Place, rest};
use crate::settings::Settings;

/// The route that all load asks, and that is not well in one release.
const ROUTE: &str = "services/web/app/app/api/hello/route.ts";
/// How long the load goes on after the last change.
const AFTER: Duration = Duration::from_secs(5);

/// Takes all of it, one after the other.
pub(crate) fn take(_settings: &Settings, place: &Place, figures: &mut Figures) {
    place.settle();
    let stack = &place.demo.stack;
    let edge = || {
        let run = stack.run_folder().expect("a run folder");
        let folders = fs::read_dir(run).expect("it").flatten();
        let text = |folder: fs::DirEntry| fs::read_to_string(folder.path().join("caddy.json")).ok();
        (stack.pids_of("caddy"), folders.filter_map(text).collect::<Vec<_>>())
    };
    let before = edge();
    let well = fs::read_to_string(stack.root.join(ROUTE)).expect("the route");
    let page = |word: &str| stack.write(ROUTE, &format!("{well}// {word}\n"));
    let mut row = |name: &str, change: &dyn Fn()| {
        rest();
        let load = Halves::begin(place);
        rest();
        let (from, began) = (load.0.began.elapsed(), Instant::now());
        change();
        let (to, took) = (load.0.began.elapsed(), began.elapsed());
        until("some time has passed", || began.elapsed() > took + AFTER);
        let outcome = load.end();
        figures.note(name, &outcome, &[(from, to)], &format!("{:.1} s", took.as_secs_f64()));
        outcome
    };
    let lossless = |outcome: &crate::common::load::Outcome| {
        assert!(outcome.failures().is_empty() && outcome.reopened == 0, "nothing is lost, no connection ends");
    };
    // Clients of the canary, beside those that never get to it.
    let members = |count: u32| {
        let url = format!("{}/api/hello", place.demo.page);
        let asked = || http::request("GET", &url, &[("Cookie", "core_share=000")], "").map_or(0, |(status, _)| status);
        let mut statuses = std::collections::BTreeMap::new();
        for _ in 0..count {
            *statuses.entry(asked()).or_insert(0_u32) += 1;
        }
        statuses
    };
    page("of a preview");
    lossless(&row("preview made, with its build", &|| {
        drop(stack.ok(&["deploy", "--service", "web", "--preview", "a"]));
    }));
    lossless(&row("preview promoted", &|| drop(stack.ok(&["promote", "a"]))));
    page("of another one");
    stack.ok(&["deploy", "--service", "web", "--preview", "b"]);
    lossless(&row("preview removed", &|| drop(stack.ok(&["previews", "remove", "b"]))));
    lossless(&row("canary 20 %, with its build", &|| {
        drop(stack.ok(&["deploy", "--service", "web", "--canary", "20"]));
    }));
    assert_eq!(members(200), [(200, 200)].into(), "its clients lose nothing, either");
    lossless(&row("canary promoted", &|| {
        stack.ok(&["promote"]);
        assert_eq!(members(200), [(200, 200)].into(), "its clients lose nothing, either");
    }));
    stack.write(ROUTE, "export function GET() { return new Response('broken', { status: 500 }) }\n");
    lossless(&row("canary 10 % that answers 500, until it is ended", &|| {
        stack.ok(&["deploy", "--service", "web", "--canary", "10"]);
        let (began, mut lost) = (Instant::now(), 0);
        until("its clients are served by the live release", || {
            let statuses = members(10);
            lost += statuses.get(&500).copied().unwrap_or(0);
            assert!(statuses.keys().all(|status| [200, 500].contains(status)), "{statuses:?}");
            !statuses.contains_key(&500)
        });
        println!("    its own clients got {lost} answers of it, with 500, in {:.1} s", began.elapsed().as_secs_f64());
    }));
    assert!(stack.ok(&["status"]).out.contains("was ended"), "and it is said why");
    until("nothing is left of it", || stack.pids_of("web~canary").is_empty());
    stack.write(ROUTE, &well);
    assert!(edge() == before && before.0.iter().all(|pid| proc::lives(*pid)), "nothing of the edge was changed");
}
