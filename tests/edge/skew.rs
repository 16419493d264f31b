//! Pages that were opened before a deploy: what they ask for goes to their own release while that is kept.

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{http, proc, until};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] = tests![
    an_old_page_finds_its_release,
    a_cookie_binds_what_a_page_asks_for,
    nobody_is_lost_when_the_old_release_ends,
    files_of_old_releases_are_answered_without_the_app,
    images_of_old_releases_are_answered_as_they_are,
];

/// The process that answers a request with these headers.
fn answering(scene: &Scene, path: &str, headers: &[(&str, &str)]) -> u32 {
    let url = format!("http://{}{path}", scene.place.address);
    let (status, body) = http::request("GET", &url, headers, "").expect("an answer");
    assert_eq!(status, 200, "{path} {headers:?}: {body}");
    body.trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a PID")
}

fn an_old_page_finds_its_release() {
    let scene = Scene::new(update());
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    let load = scene.place.load();
    let second = scene.deploy("second");
    until("the first is warm", || scene.with_role("warm").len() == 1);
    let two = scene.with_role("live")[0].1;
    let named = |id: &str| answering(&scene, "/", &[("X-Deployment-Id", id)]);
    let asked = |path: &str| answering(&scene, path, &[]);
    let parameter = |id: &str| format!("/?dpl={id}");
    for _ in 0..10 {
        assert_eq!((named(&first), named(&second), asked("/")), (one, two, two));
        assert_eq!((asked(&parameter(&first)), asked(&parameter(&second))), (one, two));
        // The header outranks the parameter.
        assert_eq!(answering(&scene, &parameter(&first), &[("X-Deployment-Id", &second)]), two);
    }
    // What anyone may write does no harm, and is nobody's release.
    let long = "x".repeat(10_000);
    for forged in ["..", "../../../etc/passwd", "{file./etc/passwd}", "{env.HOME}", "*", " ", "%00", long.as_str()] {
        assert_eq!(named(forged), two, "{forged}");
    }
    for forged in ["/?dpl=", "/?dpl=..%2f..%2fformer", "/?dpl=%00", "/?dpl&dpl"] {
        assert_eq!(asked(forged), two, "{forged}");
    }
    // After a rollback, the pages of the newer release find it while that is watched.
    scene.stack().ok(&["rollback"]);
    assert_eq!((asked("/"), named(&first)), (one, one));
    load.expect_none_lost();
}

/// Where it is wanted, and only for what is no page: a reload reaches the live release.
fn a_cookie_binds_what_a_page_asks_for() {
    let scene = Scene::new(update());
    let first = scene.live();
    let pair = |id: &str| format!("a=b; core_release_web={id}; c=d");
    let with = |path: &str, id: &str, more: &[(&str, &str)]| {
        answering(&scene, path, &[&[("Cookie", pair(id).as_str())], more].concat())
    };
    scene.stack().edit("web", |web| {
        web["kind"] = json!("next");
        web["config"] = json!({"app": "app"});
    });
    scene.stack().ok(&["apply"]);
    let load = scene.place.load();
    scene.deploy("second");
    until("the first is warm", || scene.with_role("warm").len() == 1);
    let two = scene.with_role("live")[0].1;
    assert_eq!(with("/", &first, &[]), two, "nobody wants it");
    scene.stack().edit("web", |web| web["config"]["skew_cookie"] = json!(true));
    scene.stack().ok(&["apply"]);
    let second = scene.live();
    let two = scene.with_role("live")[0].1;
    assert!(proc::env(two).contains(&"CORE_SKEW_COOKIE=core_release_web".to_owned()));
    let third = scene.deploy("third");
    until("the second is warm", || scene.with_role("warm").iter().any(|one| *one == (second.clone(), two)));
    let three = scene.with_role("live")[0].1;
    for _ in 0..10 {
        assert_eq!([with("/", &second, &[]), with("/data", &second, &[("Accept", "*/*")])], [two, two]);
        assert_eq!([with("/", &third, &[]), with("/", "other", &[]), answering(&scene, "/", &[])], [three; 3]);
        // A page, by what browsers say of it.
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        for page in [&[("Accept", accept)][..], &[("Sec-Fetch-Mode", "navigate")]] {
            assert_eq!(with("/", &second, page), three);
        }
        assert_eq!(with("/", &second, &[("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")]), two);
        // What is named in another way counts more.
        assert_eq!(with("/", &second, &[("X-Deployment-Id", &third)]), three);
        assert_eq!(with(&format!("/?dpl={third}"), &second, &[]), three);
        assert_eq!(with(&format!("/?dpl={second}"), &third, &[("Accept", accept)]), two);
    }
    let long = "x".repeat(4000);
    for forged in
        ["", "..", "../../../etc/passwd", "{file./etc/passwd}", "{env.HOME}", "*", "%00", "\"\"", long.as_str()]
    {
        assert_eq!(with("/", forged, &[]), three, "{forged}");
    }
    assert_eq!(answering(&scene, "/", &[("Cookie", "core_release_web"), ("Accept", "*/*")]), three);
    let url = format!("http://{}/", scene.place.address);
    let whole = http::whole("GET", &url, &[("Cookie", &pair(&second))], "").expect("an answer").to_lowercase();
    assert!(whole.contains("cache-control: private, no-store"), "{whole}");
    // It ends, and nobody is lost.
    proc::kill(two);
    for _ in 0..100 {
        assert_eq!(with("/", &second, &[]), three);
    }
    // Beside a canary, a browser stays with the release of its page, whatever its number.
    scene.stack().write("app/page", "fourth");
    assert_eq!(scene.stack().core(&["deploy", "--canary", "50%"]).code, 0);
    let canary = scene.stack().pid("web~canary");
    let fourth = proc::env(canary).iter().find_map(|one| one.strip_prefix("CORE_RELEASE_ID=").map(str::to_owned));
    let of = |id: &str, number: &str, more: &[(&str, &str)]| {
        let cookies = format!("core_share={number}; {}", pair(id));
        answering(&scene, "/", &[&[("Cookie", cookies.as_str())], more].concat())
    };
    let fourth = fourth.expect("a release");
    assert_eq!([of(&third, "000", &[]), of(&fourth, "fff", &[])], [three, canary]);
    let page = [("Accept", "text/html")];
    assert_eq!([of(&third, "000", &page), of(&fourth, "fff", &page)], [canary, three]);
    load.expect_none_lost();
}

/// Whether it crashes or its time is over: the live one answers then.
fn nobody_is_lost_when_the_old_release_ends() {
    let scene = Scene::new(update());
    let (first, one) = (scene.live(), scene.stack().pid("web"));
    scene.deploy("second");
    until("the first is warm", || scene.with_role("warm").len() == 1);
    let named = || answering(&scene, "/", &[("X-Deployment-Id", &first)]);
    assert_eq!(named(), one);
    proc::kill(one);
    // From the first request on, whatever the edge knows by then.
    let two = named();
    assert_ne!(two, one);
    for _ in 0..100 {
        assert_eq!(named(), two);
    }
    // By order, in the middle of requests.
    let second = scene.live();
    scene.deploy("third");
    let named = || answering(&scene, "/", &[("X-Deployment-Id", &second)]);
    until("the second is warm", || scene.with_role("warm").len() == 1);
    assert_eq!(named(), two);
    scene.stack().edit("web", |manifest| manifest["update"]["warm_minutes"] = json!(0));
    scene.stack().ok(&["apply"]);
    until("it has ended", || {
        named();
        !proc::lives(two)
    });
}

/// What the edge serves itself, it serves whatever release runs; all else is the app's.
fn files_of_old_releases_are_answered_without_the_app() {
    let scene = Scene::new(json!({"observe_seconds": 0.1, "warm_minutes": 0}));
    for page in ["second", "third", "fourth"] {
        scene.deploy(page);
    }
    let url = |path: &str| format!("http://{}{path}", scene.place.address);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        http::request(method, &url(path), headers, "").expect("an answer")
    };
    let chunk = |page: &str| format!("/_next/static/chunks/{page}.js");
    for page in ["first", "second", "third", "fourth"] {
        assert_eq!(ask("GET", &chunk(page), &[]), (200, page.to_owned()));
        assert_eq!(ask("HEAD", &chunk(page), &[]), (200, String::new()));
        assert_eq!(ask("GET", &format!("{}?dpl=any", chunk(page)), &[("Range", "bytes=1-3")]).1, page[1..4]);
    }
    // The app answers everything with its own words.
    let others = [
        ("POST", chunk("first")),
        ("GET", chunk("none")),
        ("GET", format!("{}.br", chunk("first"))),
        ("GET", "/_next/static/chunks/".into()),
        ("GET", "/_next/static/../../release.json".into()),
        ("GET", "/_next/static/%2e%2e/%2e%2e/payload.json".into()),
        ("GET", "/chunks/first.js".into()),
    ];
    for (method, path) in others {
        let (status, body) = ask(method, &path, &[]);
        assert!(status == 200 && body.starts_with("pid "), "{method} {path}: {status} {body}");
    }
}

/// An app makes images of another size of those of its own release only.
fn images_of_old_releases_are_answered_as_they_are() {
    let scene = Scene::new(json!({"observe_seconds": 0.1, "warm_minutes": 0}));
    scene.deploy("second");
    let ask = |method: &str, parameters: &str| {
        let url = format!("http://{}/_next/image?{parameters}", scene.place.address);
        http::request(method, &url, &[], "").expect("an answer")
    };
    let image = |path: &str| format!("url=%2F_next%2Fstatic%2F{path}&w=64&q=75");
    for page in ["first", "second"] {
        assert_eq!(ask("GET", &image(&format!("media%2F{page}.png"))), (200, page.to_owned()));
    }
    // All else is what the app says, which has none.
    let others = [
        ("POST", image("media%2Ffirst.png")),
        ("GET", image("media%2Fnone.png")),
        ("GET", image("media%2F*.png")),
        ("GET", image("chunks%2Ffirst.js")),
        ("GET", image("..%2F..%2F..%2F..%2Fother.png")),
        ("GET", format!("{}&url=x", image("media%2Ffirst.png"))),
        ("GET", "url=%2Fpicture.png".into()),
        ("GET", "w=64".into()),
    ];
    for (method, parameters) in others {
        let (status, body) = ask(method, &parameters);
        assert!(status == 404 && body.starts_with("pid "), "{method} {parameters}: {status} {body}");
    }
}
