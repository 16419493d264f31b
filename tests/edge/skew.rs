//! Pages that were opened before a deploy: what they ask for goes to their own release while that is kept.

use crate::common::trials::{Test, tests};
use crate::common::{http, proc, until};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] = tests![an_old_page_finds_its_release, nobody_is_lost_when_the_old_release_ends];

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
    scene.stack().edit("web", |manifest| manifest["update"]["warm_minutes"] = serde_json::json!(0));
    scene.stack().ok(&["apply"]);
    until("it has ended", || {
        named();
        !proc::lives(two)
    });
}
