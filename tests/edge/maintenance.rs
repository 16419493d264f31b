//! Maintenance: the edge answers in the place of a service, at once and whatever dies, until a person ends it.

use std::thread;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, http, proc, until};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![
    maintenance_begins_and_ends_at_once,
    maintenance_outlives_what_runs_the_stack,
    a_service_that_does_not_run_is_in_maintenance_too,
    held_requests_are_answered_once_it_is_over,
    some_are_answered_as_usual
];

fn place() -> Place {
    Place::new(&serving(&[], json!({})))
}

/// What a client gets that has these headers: the status, and the whole answer.
fn ask(place: &Place, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let url = format!("http://{}{path}", place.address);
    let answer = http::whole("GET", &url, headers, "").expect("an answer");
    (answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status"), answer)
}

fn status(place: &Place) -> u16 {
    ask(place, "/", &[]).0
}

fn maintenance_begins_and_ends_at_once() {
    let place = place();
    let (caddy, web) = (place.stack.pid("caddy"), place.stack.pid("web"));
    let generation = place.stack.status()["generation"].clone();
    assert_eq!(status(&place), 200);
    place.stack.ok(&["maintenance", "on", "web"]);
    let (code, answer) = ask(&place, "/any/path", &[]);
    assert_eq!(code, 503, "{answer}");
    for word in ["Retry-After: 60", "Cache-Control: no-store", "Content-Type: text/html", "Back soon"] {
        assert!(answer.contains(word), "{word}: {answer}");
    }
    let said = place.stack.ok(&["status"]).out;
    assert!(said.contains("web in maintenance: `core maintenance off web` ends it"), "{said}");
    assert_eq!(place.stack.status()["maintenance"], json!({"web": {}}));
    place.stack.ok(&["maintenance", "off"]);
    assert_eq!(status(&place), 200);
    assert_eq!(place.stack.status()["maintenance"], Value::Null);
    // A page of its own.
    place.stack.write("services/web/maintenance.html", "<p>{http.request.host} our own {page}</p>");
    place.stack.ok(&["maintenance", "on"]);
    let (code, answer) = ask(&place, "/", &[]);
    assert!(code == 503 && answer.ends_with("<p>{http.request.host} our own {page}</p>"), "{answer}");
    // Nothing was replaced for that.
    assert_eq!((place.stack.pid("caddy"), place.stack.pid("web")), (caddy, web));
    assert_eq!(place.stack.status()["generation"], generation);
    let verbs = place.stack.ok(&["history"]).out;
    assert!(verbs.contains("maintenance on") && verbs.contains("maintenance off"), "{verbs}");
    for (words, why) in [
        (&["maintenance", "on", "caddy"][..], "has not a route"),
        (&["maintenance", "on", "wbe"], "did you mean `web`?"),
        (&["maintenance", "on", "--allow", "10.0.0"], "`10.0.0` is not a network"),
    ] {
        let said = place.stack.core(words);
        assert!(said.code == 1 && said.err.contains(why), "{said:?}");
    }
}

fn maintenance_outlives_what_runs_the_stack() {
    let place = place();
    place.stack.ok(&["maintenance", "on"]);
    let back = |supervisor| {
        until("another supervisor runs", || {
            assert_eq!(status(&place), 503);
            !proc::lives(supervisor) && place.stack.core(&["status", "--check"]).code == 0
        });
        assert_eq!(status(&place), 503);
    };
    let supervisor = place.stack.supervisor();
    proc::kill(supervisor);
    back(supervisor);
    // Without a keeper nobody starts the next one but a person.
    let supervisor = place.stack.supervisor();
    proc::kill_all(&[place.stack.keeper(), supervisor]);
    until("both have ended", || !proc::lives(supervisor));
    assert_eq!(status(&place), 503);
    place.stack.up();
    back(supervisor);
    let caddy = place.stack.pid("caddy");
    proc::kill(caddy);
    place.stack.next_pid("caddy", caddy);
    assert_eq!(status(&place), 503);
    place.replace("caddy", |caddy| caddy["process"]["env"]["EDIT"] = json!("1"));
    place.replace("web", |web| web["process"]["env"] = json!({"EDIT": "1"}));
    assert_eq!(status(&place), 503);
    place.stack.ok(&["down"]);
    place.stack.up();
    assert_eq!(status(&place), 503);
    place.stack.ok(&["maintenance", "off"]);
    assert_eq!(status(&place), 200);
    place.stack.ok(&["down"]);
    place.stack.up();
    assert_eq!(status(&place), 200);
}

fn a_service_that_does_not_run_is_in_maintenance_too() {
    let place = place();
    place.stack.ok(&["stop", "web"]);
    place.stack.ok(&["maintenance", "on"]);
    assert!(ask(&place, "/", &[]).1.contains("Back soon"));
    place.stack.ok(&["start", "web"]);
    assert!(ask(&place, "/", &[]).1.contains("Back soon"));
    place.stack.ok(&["maintenance", "off"]);
    assert_eq!(status(&place), 200);
}

fn held_requests_are_answered_once_it_is_over() {
    let place = place();
    place.stack.ok(&["maintenance", "on", "--hold", "60"]);
    assert!(place.stack.ok(&["status"]).out.contains("requests are held for up to 60 s"));
    let body = "x".repeat(100_000);
    let held: Vec<_> = ["GET", "POST"]
        .into_iter()
        .map(|method| {
            let (url, body) = (format!("http://{}/upload", place.address), body.clone());
            thread::spawn(move || http::request(method, &url, &[], if method == "POST" { &body } else { "" }))
        })
        .collect();
    let supervisor = place.stack.supervisor();
    proc::kill(supervisor);
    until("another supervisor runs", || place.stack.core(&["status", "--check"]).code == 0);
    assert!(held.iter().all(|one| !one.is_finished()), "they are held");
    place.replace("web", |web| web["process"]["env"] = json!({"EDIT": "1"}));
    assert!(held.iter().all(|one| !one.is_finished()), "they are held");
    place.stack.ok(&["maintenance", "off"]);
    for one in held {
        assert_eq!(one.join().expect("it ends").map(|answer| answer.0), Some(200));
    }
    // Who is held for too long gets the page.
    place.stack.ok(&["maintenance", "on", "--hold", "5"]);
    let (code, answer) = ask(&place, "/", &[]);
    assert!(code == 503 && answer.contains("Back soon"), "{answer}");
}

fn some_are_answered_as_usual() {
    let place = place();
    let link = |said: &str| {
        let url = said.split_whitespace().find(|word| word.contains("?core_maintenance=")).expect("a link").to_owned();
        url.split_once('?').map(|(_, query)| query.to_owned()).expect("a query")
    };
    let said = place.stack.ok(&["maintenance", "on"]);
    let query = link(&said.out);
    let (code, answer) = ask(&place, &format!("/a/b?{query}"), &[]);
    assert!(code == 303 && answer.contains("Location: /a/b\r\n"), "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value");
    assert_eq!(ask(&place, "/", &[("Cookie", cookie)]).0, 200);
    for other in ["core_maintenance=", "core_maintenance=x"] {
        assert_eq!(ask(&place, "/", &[("Cookie", other)]).0, 503, "{other}");
        assert_eq!(ask(&place, &format!("/?{other}"), &[]).0, 503, "{other}");
    }
    // The link is the same each time.
    assert_eq!(link(&place.stack.ok(&["maintenance", "on", "--hold", "5"]).out), query);
    let allow = |network: &str| {
        place.stack.ok(&["maintenance", "on", "--allow", network]);
        status(&place)
    };
    assert_eq!([allow("10.0.0.0/8"), allow("127.0.0.0/8"), allow("::/0"), allow("127.0.0.1")], [503, 200, 503, 200]);
    // Behind a proxy, it is the client that counts.
    place.replace("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["127.0.0.1"]}));
    place.stack.ok(&["maintenance", "on", "--allow", "192.0.2.0/24", "--allow", "2001:db8::/32"]);
    for (client, code) in [("192.0.2.9", 200), ("192.0.3.9", 503), ("2001:db8::1", 200), ("2001:db9::1", 503)] {
        assert_eq!(ask(&place, "/", &[("X-Forwarded-For", client)]).0, code, "{client}");
    }
    let own: &Stack = &place.stack;
    assert_eq!(own.status()["maintenance"]["web"]["allow"], json!(["192.0.2.0/24", "2001:db8::/32"]));
}
