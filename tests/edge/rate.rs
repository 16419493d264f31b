//! Rate limits: who sends too much is refused, everybody else is not, and nobody is where nothing counts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, http, proc, until};
use crate::place::{Place, serving};

pub(crate) const TESTS: &[Test] = tests![
    each_client_gets_its_rate_and_no_other_loses_any,
    clients_are_told_apart,
    requests_pass_while_nobody_counts,
    what_is_tried_out_is_counted_and_refused_to_nobody,
    a_change_of_limits_loses_no_request,
    a_wrong_limit_is_told_at_its_field,
];

/// The service that counts.
const LIMITER: &str = "caddy-limits";

/// A stack whose service has these limits.
fn limited(limit: &Value) -> Place {
    let mut web = serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0}));
    web["route"]["rate_limit"] = limit.clone();
    Place::of(Stack::with_programs(), &web)
}

impl Place {
    /// What is answered to a request with these headers.
    fn from(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        http::request("GET", &format!("http://{}{path}", self.address), headers, "").expect("an answer").0
    }

    /// Waits until requests with these headers are refused: the edge may not ask yet, or a machine may be too busy to answer
    /// it for a moment.
    #[track_caller]
    fn until_refused(&self, path: &str, headers: &[(&str, &str)]) {
        until(&format!("{path} {headers:?} is refused"), || self.from(path, headers) == 429);
    }
}

/// How many requests of one client came through, of how many, and for how long it asked.
struct Came {
    sent: u32,
    through: u32,
    span: Duration,
}

/// Asks so often a second as the client of this key.
fn ask(address: &str, key: &str, rate: u32, lasts: Duration) -> Came {
    let (began, url) = (Instant::now(), format!("http://{address}/"));
    let mut came = Came { sent: 0, through: 0, span: Duration::ZERO };
    while began.elapsed() < lasts {
        let due = began + Duration::from_secs(1) * came.sent / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        came.sent += 1;
        match http::request("GET", &url, &[("X-Api-Key", key)], "").map(|answer| answer.0) {
            Some(200) => came.through += 1,
            Some(429) => {}
            other => panic!("{other:?}"),
        }
    }
    came.span = began.elapsed();
    came
}

fn each_client_gets_its_rate_and_no_other_loses_any() {
    const EACH: u32 = 20;
    let place = limited(&json!({"per_second": 5, "burst": 5, "key": {"header": "X-Api-Key"}}));
    // A machine that is very busy for a moment makes the edge let requests through: then it is measured anew.
    let is_exact = (0..3).any(|round| {
        let all: Vec<(bool, Came)> = std::thread::scope(|scope| {
            let clients = (0..2 * EACH).map(|number| {
                let (is_over, place) = (number < EACH, &place);
                let key = format!("{round}-{number}");
                let rate = if is_over { 20 } else { 2 };
                scope.spawn(move || (is_over, ask(&place.address, &key, rate, Duration::from_secs(10))))
            });
            let clients: Vec<_> = clients.collect();
            clients.into_iter().map(|client| client.join().expect("a client")).collect()
        });
        for (_, came) in all.iter().filter(|(is_over, _)| !is_over) {
            assert_eq!(came.through, came.sent, "who sends less than its rate loses nothing");
        }
        let over = all.iter().filter(|(is_over, _)| *is_over).map(|(_, came)| came);
        let through: u32 = over.clone().map(|came| came.through).sum();
        let allowed: f64 = over.clone().map(|came| 5.0 + 5.0 * came.span.as_secs_f64()).sum();
        let sent: u32 = over.map(|came| came.sent).sum();
        println!("{sent} sent, {through} through, {allowed:.0} allowed");
        assert!(f64::from(sent) > 1.5 * allowed, "{sent} requests are not too many");
        (f64::from(through) / allowed - 1.0).abs() < 0.05
    });
    assert!(is_exact);
    let refused = (0..20)
        .map(|_| http::whole("GET", &format!("http://{}/", place.address), &[], "").expect("an answer"))
        .find(|answer| !answer.starts_with("HTTP/1.0 200"))
        .expect("without a key, by its address");
    assert!(refused.starts_with("HTTP/1.0 429"), "{refused}");
    for header in ["Retry-After: 1\r\n", "Cache-Control: no-store\r\n", "Content-Type: text/plain"] {
        assert!(refused.contains(header), "{header}: {refused}");
    }
    assert!(refused.ends_with("Too many requests. Please try again later.\n"), "{refused}");
}

fn clients_are_told_apart() {
    let slow = |more: Value| {
        let mut limit = json!({"per_minute": 1, "burst": 1});
        limit.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        limit
    };
    let place = limited(&json!([
        slow(json!({"paths": ["/login"]})),
        slow(json!({"paths": ["/session"], "key": {"cookie": "session"}})),
    ]));
    place.until_refused("/login", &[]);
    // However the path is written, and not a path that only begins alike.
    for path in ["/login", "/login/", "/LOGIN/x", "/a/../login", "/%6Cogin", "//login"] {
        place.until_refused(path, &[]);
    }
    assert_eq!([place.from("/logins", &[]), place.from("/", &[])], [200, 200]);
    // Nobody says of himself that he is another.
    place.until_refused("/login", &[("X-Forwarded-For", "192.0.2.1"), ("X-Client", "192.0.2.1")]);
    let with = |cookie: &str| place.from("/session", &[("Cookie", cookie)]);
    assert_eq!([with("session=a"), with("session=b")], [200, 200]);
    place.until_refused("/session", &[("Cookie", "x=y; session=a")]);
    assert_eq!([with("session=c"), with("x=y")], [200, 200]);
    // Without the cookie, by the address.
    place.until_refused("/session", &[("Cookie", "x=z")]);
    // What a client names is nobody's limit.
    assert_eq!(place.from("/", &[("X-Limits", "*web  /login    0")]), 200);
    let url = format!("http://{}/upload", place.address);
    place.edit("web", |web| web["route"]["rate_limit"] = slow(json!({"paths": ["/login"], "burst": 2})));
    place.replace("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["127.0.0.1"]}));
    let by = |address: &str| place.from("/login", &[("X-Forwarded-For", address)]);
    let until_refused = |address: &str| place.until_refused("/login", &[("X-Forwarded-For", address)]);
    assert_eq!(["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"].map(by), [200; 4]);
    until_refused("192.0.2.1");
    until_refused("2001:db8::3");
    assert_eq!(["192.0.2.2", "2001:db8:0:1::1"].map(by), [200; 2]);
    // The body goes on, though another request was sent meanwhile.
    place.edit("web", |web| web["route"]["rate_limit"] = json!({"per_second": 1000}));
    until("an upload is counted", || place.stack.instance(LIMITER)["ready"] == json!(true));
    let body = "x".repeat(3 << 20);
    assert_eq!(http::request("POST", &url, &[], &body), Some((200, format!("{}\n", body.len()))));
}

fn requests_pass_while_nobody_counts() {
    let place = limited(&json!({"paths": ["/slow"], "per_minute": 1, "burst": 1}));
    place.until_refused("/slow/0", &[]);
    let pid = place.stack.pid(LIMITER);
    // One that is held still answers nobody, and whoever connects waits.
    proc::hold(pid);
    for _ in 0..100 {
        assert_eq!(place.from("/slow/0", &[]), 200);
    }
    let said = eventually("status says so", || {
        let said = place.stack.core(&["status", "--check"]);
        (said.code != 0).then_some(said)
    });
    assert!(said.out.contains(LIMITER), "{}{}", said.out, said.err);
    proc::send(pid, "CONT");
    place.until_refused("/slow/0", &[]);
    place.stack.until_ready();
    assert_eq!(place.stack.pid(LIMITER), pid, "it was given time");
    // One that dies is replaced at once.
    let load = place.load();
    for _ in 0..3 {
        let pid = place.stack.pid(LIMITER);
        proc::kill(pid);
        assert_eq!(place.from("/slow/0", &[]), 200);
        place.stack.next_pid(LIMITER, pid);
        place.until_refused("/slow/0", &[]);
    }
    load.expect_none_lost();
    // A supervisor that returns finds it.
    let pid = place.stack.pid(LIMITER);
    place.stack.ours().into_iter().for_each(|(part, one)| {
        if part == crate::common::ours::Part::Supervisor {
            proc::kill(one.pid);
        }
    });
    place.stack.until_ready();
    assert_eq!(place.stack.pid(LIMITER), pid);
    let run = place.stack.run_folder().expect("a run folder");
    place.stack.ok(&["down"]);
    place.stack.expect_nothing_left(Some(&run));
}

fn what_is_tried_out_is_counted_and_refused_to_nobody() {
    let mut limit = json!({"paths": ["/api"], "per_minute": 1, "burst": 1, "dry_run": true});
    let place = limited(&limit);
    until("it is asked", || {
        assert_eq!([place.from("/api", &[]), place.from("/", &[])], [200, 200]);
        place.stack.lines(LIMITER).iter().any(|line| line.contains("requests would have been refused (dry_run)"))
    });
    // Others are not even counted: of nine, four were for the path.
    let before = place.stack.lines(LIMITER).len();
    limit["paths"] = json!(["/other"]);
    place.edit("web", |web| web["route"]["rate_limit"] = limit);
    let wanted = "web /other, 1 a minute: 3 of 4 requests would have been refused (dry_run)";
    until("the edge asks for the other path", || {
        let run = place.stack.run_of("caddy");
        std::fs::read_to_string(run.join("caddy.json")).is_ok_and(|text| text.contains("/other"))
    });
    for path in ["/", "/other", "/api", "/other/a", "/", "/other/b", "/others", "/other/c", "/x"] {
        assert_eq!(place.from(path, &[]), 200);
    }
    until("they are told", || place.stack.lines(LIMITER)[before..].iter().any(|line| line == wanted));
}

fn a_change_of_limits_loses_no_request() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0})));
    assert!(place.stack.pids_of(LIMITER).is_empty(), "nobody asks for it");
    let load = place.load();
    place.replace("caddy", |_| {
        place.stack.edit("web", |web| web["route"]["rate_limit"] = json!({"per_second": 10_000}));
    });
    let (edge, limiter) = (place.stack.pid("caddy"), place.stack.pid(LIMITER));
    for rate in [20_000, 30_000] {
        place.edit("web", |web| web["route"]["rate_limit"]["per_second"] = json!(rate));
    }
    assert_eq!(place.stack.pid("caddy"), edge, "another rate does not concern the edge");
    until("the former one is gone", || !proc::lives(limiter));
    place.replace("caddy", |_| {
        let slow = json!({"paths": ["/slow"], "per_minute": 1, "burst": 1});
        place.stack.edit("web", |web| web["route"]["rate_limit"] = slow);
    });
    place.until_refused("/slow/0", &[]);
    place.replace("caddy", |_| {
        place.stack.edit("web", |web| drop(web["route"].as_object_mut().expect("a route").remove("rate_limit")));
    });
    until("nobody counts any more", || place.stack.pids_of(LIMITER).is_empty());
    assert_eq!(place.from("/slow/0", &[]), 200);
    load.expect_none_lost();
}

fn a_wrong_limit_is_told_at_its_field() {
    let place = limited(&json!({"per_second": 1000}));
    let said = |limit: Value| {
        place.stack.edit("web", |web| web["route"]["rate_limit"] = limit);
        let said = place.stack.core(&["check"]);
        assert_ne!(said.code, 0, "{}", said.out);
        said.err + &said.out
    };
    assert!(said(json!({"burst": 3})).contains("a rate limit needs a key `per_second` or `per_minute`"));
    assert!(
        said(json!({"per_second": 0})).contains("`route.rate_limit.per_second`"),
        "{}",
        said(json!({"per_second": 0}))
    );
    assert!(said(json!([{"per_second": 1, "paths": ["api"]}])).contains("`api` is not a path prefix"));
    let misspelt = said(json!({"per_second": 1, "key": {"heder": "X-Api-Key"}}));
    assert!(misspelt.contains("heder") && misspelt.contains("header"), "{misspelt}");
    assert!(said(json!({"per_second": 1, "key": "adress"})).contains("address"));
    place.stack.edit("web", |web| web["route"]["rate_limit"] = json!({"per_second": 1}));
    place.stack.service(LIMITER, &serving(&[], json!({})));
    let taken = place.stack.core(&["check"]);
    assert!(taken.err.contains("`caddy` makes a service `caddy-limits`"), "{}{}", taken.out, taken.err);
}
