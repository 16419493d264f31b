//! Releases that run beside the live one: previews under host names of their own, and canaries with a share of the clients.

use std::fs;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Said, http, proc, until};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] = tests![
    a_canary_gets_its_share_and_becomes_live,
    a_canary_that_crashes_is_ended,
    a_canary_that_is_not_well_gets_nothing,
    a_preview_is_seen_by_those_who_may_and_becomes_live,
    previews_come_and_go,
    the_newer_of_two_deploys_is_what_is_tried,
    a_trial_that_ends_with_the_supervisor_leaves_the_live_release_alone,
];

impl Scene {
    /// Deploys a page with these words beside the live release.
    fn beside(&self, page: &str, words: &str, args: &[&str]) -> Said {
        self.stack().write("app/page", page);
        self.stack().write("app/words", words);
        self.stack().core(&[&["deploy"], args].concat())
    }

    /// Who answers a request with these headers: a process.
    fn asked(&self, headers: &[(&str, &str)]) -> u32 {
        let url = format!("http://{}/", self.place.address);
        let (status, body) = http::request("GET", &url, headers, "").expect("an answer");
        assert_eq!(status, 200, "{headers:?}: {body}");
        body.trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a PID")
    }

    /// The whole answer to a request for a host.
    fn of_host(&self, host: &str, headers: &[(&str, &str)]) -> String {
        let all = [&[("Host", host)], headers].concat();
        http::whole("GET", &format!("http://{}/", self.place.address), &all, "").expect("an answer")
    }

    /// Everything that a change of which must not happen: the edge's process, and its configuration.
    fn edge(&self) -> (u32, Vec<u8>) {
        let run = self.stack().run_folder().expect("a run folder");
        let mut folders = fs::read_dir(run).expect("it").flatten();
        let caddy = folders.find(|one| one.file_name().to_string_lossy().starts_with("caddy-0@")).expect("caddy");
        (self.stack().pid("caddy"), fs::read(caddy.path().join("caddy.json")).expect("its configuration"))
    }

    pub(crate) fn release_of(&self, name: &str) -> String {
        let said = self.stack().ok(&["previews", "--json"]).out;
        let all: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let one = all["previews"].as_array().expect("a list").iter().find(|one| one["name"] == name).cloned();
        one.expect("it")["release"].as_str().expect("a release").to_owned()
    }
}

/// Its clients stay with it, and pages of the live release stay with that.
fn a_canary_gets_its_share_and_becomes_live() {
    let scene = Scene::new(update());
    let (first, one, edge) = (scene.live(), scene.stack().pid("web"), scene.edge());
    let load = scene.place.load();
    let said = scene.beside("second", "", &["--canary", "25%"]);
    assert!(said.code == 0 && said.err.contains("25 % of the clients"), "{said:?}");
    assert_eq!(scene.live(), first, "it is not live");
    let (second, two) = (scene.release_of("canary"), scene.stack().pid("web~canary"));
    let cookie = |number: &str| scene.asked(&[("Cookie", &format!("a=b; core_share={number}"))]);
    for _ in 0..10 {
        assert_eq!([cookie("000"), cookie("3ff"), cookie("400"), cookie("fff")], [two, two, one, one]);
        // What a page names counts more than the number of its client.
        let named = |id: &str, number: &str| {
            scene.asked(&[("Cookie", &format!("core_share={number}")), ("X-Deployment-Id", id)])
        };
        assert_eq!([named(&first, "000"), named(&second, "fff"), named("other", "000")], [one, two, one]);
    }
    // Cookies that nobody was given.
    for bad in ["", "x", "0", "zzz", "{file./etc/passwd}", &"f".repeat(4000)] {
        assert!([one, two].contains(&cookie(bad)), "{bad}");
    }
    // A browser is given a number, which is that of this request.
    let mut share = 0;
    for _ in 0..200 {
        let answer = scene.of_host("localhost", &[("Accept", "text/html,*/*")]);
        let given = answer.split("core_share=").nth(1).expect("a cookie").split(';').next().expect("it");
        let who = if answer.trim_end().ends_with(&format!(" {two}")) { two } else { one };
        assert_eq!(cookie(given), who, "{answer}");
        share += u32::from(who == two);
    }
    assert!((20..=85).contains(&share), "{share} of 200");
    // Who is not a browser would be drawn anew each time.
    assert!((0..50).all(|_| scene.asked(&[]) == one));
    // Another share is only a number in a file.
    scene.stack().ok(&["deploy", "--canary", "99"]);
    assert_eq!([cookie("f00"), scene.stack().pid("web~canary")], [two, two]);
    let said = scene.stack().ok(&["promote"]);
    assert!(said.err.contains("promoted") && said.err.contains(&second), "{}", said.err);
    assert_eq!(scene.live(), second);
    until("the canary has ended", || !proc::lives(two));
    let live = scene.with_role("live")[0].1;
    assert_eq!([cookie("000"), cookie("fff")], [live, live]);
    assert!(!scene.of_host("localhost", &[("Accept", "text/html")]).contains("core_share"), "nobody is counted");
    assert_eq!(scene.edge(), edge, "nothing of the edge was changed");
    load.expect_none_lost();
}

/// Whatever the supervisor knows by then, its clients are served by the live release.
fn a_canary_that_crashes_is_ended() {
    let scene = Scene::new(update());
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    let said = scene.beside("second", "", &["--canary", "50%"]);
    assert_eq!(said.code, 0, "{said:?}");
    let two = scene.stack().pid("web~canary");
    let canary = || scene.asked(&[("Cookie", "core_share=000")]);
    assert_eq!(canary(), two);
    proc::kill(two);
    for _ in 0..100 {
        assert_eq!(canary(), one);
    }
    until("it is ended", || scene.stack().pids_of("web~canary").is_empty());
    let shown = scene.stack().ok(&["status"]).out;
    assert!(shown.contains("canary") && shown.contains("was ended"), "{shown}");
    let history = scene.stack().ok(&["history"]).out;
    assert!(history.contains("web~canary"), "{history}");
    assert_eq!(scene.live(), first);
    // One that a person ends, with what a person undoes a deploy with.
    assert_eq!(scene.beside("third", "", &["--canary", "50%"]).code, 0);
    assert!(!scene.stack().ok(&["status"]).out.contains("was ended"), "that is over");
    let said = scene.stack().ok(&["rollback"]);
    assert!(said.err.contains("ended: the canary") && said.err.contains(&format!("{first} serves")), "{}", said.err);
    assert_eq!((canary(), scene.live()), (one, first));
    assert!(scene.stack().pids_of("web~canary").is_empty());
}

fn a_canary_that_is_not_well_gets_nothing() {
    let scene = Scene::new(update());
    let one = scene.stack().pid("web");
    let load = scene.place.load();
    for (page, words, why) in
        [("second", "--is-ill", "500"), ("third", "--ready-when never --ends-after 0", "exited with 9")]
    {
        let said = scene.beside(page, words, &["--canary", "50%"]);
        assert!(said.code == 1 && said.err.contains(why), "{said:?}");
        assert_eq!(scene.asked(&[("Cookie", "core_share=000")]), one);
        until("nothing is left of it", || scene.stack().pids_of("web~canary").is_empty());
    }
    for (bad, why) in [("0%", "1% to 99%"), ("100%", "1% to 99%"), ("x", "1% to 99%")] {
        let said = scene.beside("fourth", "", &["--canary", bad]);
        assert!(said.code != 0 && said.err.contains(why), "{said:?}");
    }
    load.expect_none_lost();
}

fn a_preview_is_seen_by_those_who_may_and_becomes_live() {
    let scene = Scene::new(update());
    let (first, one, edge) = (scene.live(), scene.stack().pid("web"), scene.edge());
    scene.stack().edit("web", |web| {
        web["kind"] = json!("next");
        web["config"] = json!({"app": "app", "preview": {"env": {"DATABASE": "of previews"}}});
    });
    let load = scene.place.load();
    let said = scene.beside("second", "", &["--preview", "pr-12"]);
    assert_eq!(said.code, 0, "{said:?}");
    let port = scene.place.address.rsplit(':').next().expect("a port").to_owned();
    assert!(said.out.contains(&format!("http://pr-12.web.localhost:{port}")), "{}", said.out);
    let password = said.err.split("password ").nth(1).expect("a password").split_whitespace().next().expect("it");
    let two = scene.stack().pid("web~pr-12");
    assert_eq!((scene.live(), scene.asked(&[])), (first, one), "nothing of what is live has changed");
    assert!(proc::env(two).contains(&"DATABASE=of previews".to_owned()));
    assert!(!proc::env(one).contains(&"DATABASE=of previews".to_owned()));
    let host = "pr-12.web.localhost";
    let refused = scene.of_host(host, &[]);
    assert!(refused.starts_with("HTTP/1.0 401") && refused.contains("Www-Authenticate: Basic"), "{refused}");
    for bad in ["Basic", "Basic ", "Basic public", "Bearer x", "Basic cHJldmlldzo="] {
        assert!(scene.of_host(host, &[("Authorization", bad)]).starts_with("HTTP/1.0 401"), "{bad}");
    }
    assert!(scene.of_host(host, &[("Cookie", "core_preview=")]).starts_with("HTTP/1.0 401"));
    let basic = format!("Basic {}", STANDARD.encode(format!("preview:{password}")));
    let seen = scene.of_host(host, &[("Authorization", &basic)]);
    assert!(seen.starts_with("HTTP/1.0 200") && seen.trim_end().ends_with(&format!(" {two}")), "{seen}");
    assert!(seen.to_lowercase().contains("x-robots-tag: noindex"), "{seen}");
    // With the cookie of that answer, its pages may use the header for themselves.
    let cookie = seen.split("Set-Cookie: ").nth(1).expect("a cookie").split(';').next().expect("it");
    let seen = scene.of_host(host, &[("Cookie", cookie), ("Authorization", "Bearer of the app")]);
    assert!(seen.starts_with("HTTP/1.0 200"), "{seen}");
    assert!(scene.of_host("pr-13.web.localhost", &[]).starts_with("HTTP/1.0 404"));
    // Its app sees that cookie, and learns nothing from it.
    assert!(
        !cookie.contains(password) && !cookie.contains(&STANDARD.encode(format!("preview:{password}"))),
        "{cookie}"
    );
    // In the access log, its requests are its own.
    let logged = || scene.stack().core(&["logs", "--access", "--json", "-n", "all", "web~pr-12"]).out;
    until("they are written down", || logged().contains("\"status\":401") && logged().contains("\"status\":200"));
    // A password that a person writes counts from the next reading, and the one before it no more.
    scene.stack().secret("web-preview-password", "better");
    scene.stack().ok(&["apply"]);
    let better = format!("Basic {}", STANDARD.encode("preview:better"));
    until("the new password counts", || scene.of_host(host, &[("Authorization", &better)]).starts_with("HTTP/1.0 200"));
    assert!(scene.of_host(host, &[("Authorization", &basic)]).starts_with("HTTP/1.0 401"));
    // The same preview again, with another release: its visitors lose nothing, and it keeps its set.
    let said = scene.beside("third", "", &["--preview", "pr-12", "--public"]);
    assert_eq!(said.code, 0, "{said:?}");
    let third = scene.release_of("pr-12");
    assert!(scene.of_host(host, &[]).starts_with("HTTP/1.0 200"), "everybody may see it");
    let said = scene.stack().ok(&["promote", "pr-12"]);
    assert!(said.err.contains(&third), "{}", said.err);
    assert_eq!(scene.live(), third);
    until("it has ended", || scene.stack().pids_of("web~pr-12").is_empty());
    assert!(scene.of_host(host, &[]).starts_with("HTTP/1.0 404"));
    assert_eq!(scene.edge(), edge, "nothing of the edge was changed");
    load.expect_none_lost();
}

fn previews_come_and_go() {
    let scene = Scene::new(update());
    for name in ["canary", "A", "a b", "a-", "a~b"] {
        let said = scene.beside("second", "", &["--preview", name]);
        assert!(said.code != 0 && said.err.contains("name"), "{name}: {said:?}");
    }
    for number in 0..8 {
        let name = format!("p{number}");
        assert_eq!(scene.beside(&name, "", &["--preview", &name, "--public"]).code, 0);
    }
    let said = scene.beside("ninth", "", &["--preview", "p8"]);
    assert!(said.code == 1 && said.err.contains("8 previews already"), "{said:?}");
    // A supervisor that takes over knows them all, and so does the edge.
    let supervisor = scene.stack().supervisor();
    proc::kill(supervisor);
    until("another one has taken over", || scene.stack().supervisor() != supervisor);
    let answers = |name: &str| scene.of_host(&format!("{name}.web.localhost"), &[]);
    for number in 0..8 {
        assert!(answers(&format!("p{number}")).starts_with("HTTP/1.0 200"), "{number}");
    }
    scene.stack().ok(&["previews", "remove", "p3"]);
    assert!(answers("p3").starts_with("HTTP/1.0 404"));
    // The set that nobody has is not the preview without a name.
    assert!(answers("").starts_with("HTTP/1.0 404"));
    assert_eq!(scene.beside("ninth", "", &["--preview", "p8", "--public"]).code, 0);
    assert!(answers("p8").starts_with("HTTP/1.0 200"));
    // Releases that are tried are not deleted; one that a person deleted in spite of that is no fault of the manifests.
    let release = scene.release_of("p5");
    assert_eq!(scene.stack().core(&["releases", "remove", &release]).code, 1);
    fs::remove_dir_all(scene.stack().root.join(".releases/web").join(release)).expect("gone");
    scene.stack().ok(&["apply"]);
    until("it is over", || answers("p5").starts_with("HTTP/1.0 404"));
    assert!(answers("p6").starts_with("HTTP/1.0 200"));
}

/// The first one boots when the release of the second is there.
fn the_newer_of_two_deploys_is_what_is_tried() {
    let scene = Scene::new(update());
    let load = scene.place.load();
    scene.stack().write("app/page", "second");
    scene.stack().write("app/words", "--ready-when never");
    let mut first = scene.stack().command(&["deploy", "--preview", "pr-1", "--public"]);
    let mut first = first.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("core");
    until("the first one boots", || !scene.stack().pids_of("web~pr-1").is_empty());
    let said = scene.beside("third", "", &["--preview", "pr-1", "--public"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!first.wait().expect("it ends").success(), "nobody says that it is there");
    let pid = scene.stack().pid("web~pr-1");
    let answer = scene.of_host("pr-1.web.localhost", &[]);
    assert!(answer.starts_with("HTTP/1.0 200") && answer.trim_end().ends_with(&format!(" {pid}")), "{answer}");
    load.expect_none_lost();
}

/// Another supervisor knows what was on its way out, and takes nothing of it for the live release.
fn a_trial_that_ends_with_the_supervisor_leaves_the_live_release_alone() {
    let scene = Scene::new(update());
    let one = scene.stack().pid("web");
    assert_eq!(scene.beside("second", "", &["--canary", "50%"]).code, 0);
    let two = scene.stack().pid("web~canary");
    let load = scene.place.load();
    let mut end = scene.stack().command(&["rollback"]);
    let mut end = end.stderr(Stdio::null()).spawn().expect("core");
    let canary = || scene.asked(&[("Cookie", "core_share=000")]);
    until("it gets no requests", || canary() == one);
    proc::kill(scene.stack().supervisor());
    until("the canary has ended", || !proc::lives(two));
    let _ = end.wait();
    until("it is forgotten", || scene.stack().ok(&["previews"]).out.contains("no previews"));
    assert_eq!((canary(), scene.asked(&[])), (one, one));
    load.expect_none_lost();
}
