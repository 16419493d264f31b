//! Downloads that take long: what they count for, and what becomes of them when they are no longer wanted.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, proc, until};
use crate::parcel::{program, tar_gz};
use crate::server::{Answer, Gate, Server};
use crate::shared::{begin_up, expect_success};
use crate::shelf::{expect_runs, plain, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_download_does_not_count_for_the_timeout,
    the_timeout_begins_when_the_download_ends,
    status_shows_how_far_a_download_is,
    down_ends_a_download,
    a_killed_supervisor_s_download_begins_anew,
];

fn a_download_does_not_count_for_the_timeout() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::closed());
    stack.service("one", &service(&json!([plain(&server, "/tool", &program("one"), "1.0")])));
    server.put("/tool", Answer::Held(program("one"), gate.clone()));
    let mut up = stack.command(&["up", "-d", "--timeout", "0.5"]).spawn().expect("core runs");
    until("it is being fetched", || gate.waiting() == 1);
    let began = Instant::now();
    // What is proved is that time passes and nothing comes of it.
    until("the timeout is long over", || began.elapsed() > Duration::from_secs(2));
    assert!(up.try_wait().expect("its state").is_none(), "it did not wait");
    gate.open();
    assert!(up.wait().expect("it ends").success());
    expect_runs(&stack, "one", "tool-1.0/tool");
}

fn the_timeout_begins_when_the_download_ends() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::closed());
    let mut manifest = service(&json!([plain(&server, "/tool", &program("one"), "1.0")]));
    // Ready as soon as somebody says so.
    manifest["process"]["compose"]["readiness_probe"] =
        json!({"exec": {"command": "test -e ready"}, "period_seconds": 0.1});
    stack.service("one", &manifest);
    server.put("/tool", Answer::Held(program("one"), gate.clone()));
    let mut up = stack.command(&["up", "-d", "--timeout", "5"]).spawn().expect("core runs");
    until("it is being fetched", || gate.waiting() == 1);
    let began = Instant::now();
    until("most of the timeout is over", || began.elapsed() > Duration::from_secs(4));
    gate.open();
    until("it runs", || stack.instance("one")["pid"].is_u64());
    let began = Instant::now();
    until("all of it would be over", || began.elapsed() > Duration::from_secs(2));
    assert!(up.try_wait().expect("its state").is_none(), "the download was counted");
    stack.write("ready", "");
    assert!(up.wait().expect("it ends").success());
}

fn status_shows_how_far_a_download_is() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::closed());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.service("one", &service(&json!([plain(&server, "/tool.tar.gz", &packed, "1.0")])));
    server.put("/tool.tar.gz", Answer::Held(packed.clone(), gate.clone()));
    let up = begin_up(&stack);
    until("it is being fetched", || gate.waiting() == 1);
    until("half of it is there", || {
        let job = stack.status()["jobs"][0].clone();
        let of_it = (job["folder"].as_str(), job["what"].as_str(), job["total"].as_u64());
        of_it == (Some("tool-1.0"), Some("downloading"), Some(packed.len() as u64))
            && job["done"].as_u64() == Some(packed.len() as u64 / 2)
    });
    // What is not whole is not there.
    assert!(!shelf(&stack.root).contains(&"tool-1.0".to_owned()));
    gate.open();
    expect_success(up);
    assert_eq!(stack.status()["jobs"], json!([]));
}

fn down_ends_a_download() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::closed());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.service("one", &service(&json!([plain(&server, "/tool.tar.gz", &packed, "1.0")])));
    server.put("/tool.tar.gz", Answer::Held(packed.clone(), gate.clone()));
    let mut up = begin_up(&stack);
    until("it is being fetched", || gate.waiting() == 1);
    let began = Instant::now();
    stack.ok(&["down"]);
    assert!(began.elapsed() < PATIENCE / 2, "it was waited for");
    assert!(!up.wait().expect("it ends").success());
    assert!(stack.processes().is_empty(), "{:#?}", stack.processes());
    assert_eq!(shelf(&stack.root), [""; 0]);
    gate.open();
    server.put("/tool.tar.gz", Answer::Whole(packed));
    stack.up();
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
}

fn a_killed_supervisor_s_download_begins_anew() {
    let (server, stack, gate) = (Server::new(), stack(), Gate::closed());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.shell("other", "exec sleep 1000", json!({}));
    stack.service("one", &service(&json!([plain(&server, "/tool.tar.gz", &packed, "1.0")])));
    server.put("/tool.tar.gz", Answer::Held(packed.clone(), gate.clone()));
    let mut up = begin_up(&stack);
    until("it is being fetched", || gate.waiting() == 1);
    until("the other runs", || stack.instance("other")["phase"] == "ready");
    let other = stack.pid("other");
    server.put("/tool.tar.gz", Answer::Whole(packed));
    proc::kill(stack.supervisor());
    // The next one knows nothing of what was half-made, and is not kept from it.
    stack.until_ready();
    let _ = up.wait();
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(stack.pid("other"), other);
    assert_eq!(server.asked_at_all(), 2);
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
}
