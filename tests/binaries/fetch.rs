//! What is fetched runs, and is not fetched again.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::parcel::{program, sha256, tar_gz, zip};
use crate::server::{Answer, Gate, Server};
use crate::shelf::{expect_runs, locked, of_its_own, plain, served, service, shelf, stack, with_file};

pub(crate) const TESTS: &[Test] = tests![
    a_tar_gz_is_fetched_and_runs,
    a_zip_is_fetched_and_runs,
    a_plain_file_is_fetched_and_runs,
    a_second_up_fetches_nothing_and_needs_no_network,
    another_version_is_fetched_beside_the_old_one,
    a_redirect_is_followed,
    several_are_fetched_at_once,
];

// The modes lack the right to execute: whoever packed it may have forgotten it.

fn a_tar_gz_is_fetched_and_runs() {
    let packed = tar_gz(&[("tool-1.0/bin/tool", 0o644, &program("one")), ("tool-1.0/README", 0o644, b"read me")]);
    is_fetched_and_runs("/tool.tar.gz", &packed, Some("tool-1.0/bin/tool"));
}

fn a_zip_is_fetched_and_runs() {
    let packed = zip(&[("bin/tool", 0o644, &program("one")), ("README", 0o644, b"read me")]);
    is_fetched_and_runs("/tool.zip", &packed, Some("bin/tool"));
}

fn a_plain_file_is_fetched_and_runs() {
    is_fetched_and_runs("/tool-linux-any", &program("one"), None);
}

fn is_fetched_and_runs(path: &str, packed: &[u8], file: Option<&str>) {
    let (server, stack) = (Server::new(), stack());
    let source = served(&server, path, packed, "1.0");
    let source = file.map_or(source.clone(), |file| with_file(source.clone(), file));
    stack.service("one", &service(&json!([source])));
    stack.up();
    let program = format!("tool-1.0/{}", file.unwrap_or("tool"));
    expect_runs(&stack, "one", &program);
    stack.until_says("one", "this is one");
    assert_eq!(server.asked(path), 1);
    // Landed whole, with a link for people, and without the archive.
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
    let dep = stack.root.join(".dep");
    assert_eq!(std::fs::read_link(dep.join("tool")).ok(), Some("tool-1.0".into()));
    let mode = std::fs::metadata(dep.join(&program)).expect("the program").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
    let name = path.trim_start_matches('/');
    let entry = json!({"source": "url", "version": "1.0", "file": name, "sha256": sha256(packed)});
    assert_eq!(locked(&stack, "tool"), entry);
}

fn a_second_up_fetches_nothing_and_needs_no_network() {
    let (server, stack) = (Server::new(), stack());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.service("one", &service(&json!([served(&server, "/tool.tgz", &packed, "1.0")])));
    stack.up();
    stack.ok(&["down"]);
    stack.up();
    assert_eq!(server.asked_at_all(), 1);
    stack.ok(&["down"]);
    drop(server);
    stack.up();
    expect_runs(&stack, "one", "tool-1.0/tool");
}

fn another_version_is_fetched_beside_the_old_one() {
    let (server, stack) = (Server::new(), stack());
    stack.service("one", &service(&json!([served(&server, "/1/tool", &program("one"), "1.0")])));
    stack.up();
    // The operator's part of it: what is locked is changed on purpose.
    std::fs::remove_file(stack.root.join("manifests/dep.lock.json")).expect("the lock file");
    stack.service("one", &service(&json!([served(&server, "/2/tool", &program("two"), "2.0")])));
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-2.0/tool");
    assert_eq!((server.asked("/1/tool"), server.asked("/2/tool")), (1, 1));
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0", "tool-2.0"]);
    assert_eq!(locked(&stack, "tool")["version"], "2.0");
}

fn a_redirect_is_followed() {
    let (server, stack) = (Server::new(), stack());
    let source = plain(&server, "/latest/tool", &program("one"), "1.0");
    server.put("/latest/tool", Answer::Moved(server.url("/elsewhere")));
    server.put("/elsewhere", Answer::Whole(program("one")));
    stack.service("one", &service(&json!([source])));
    stack.up();
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(server.asked("/elsewhere"), 1);
}

fn several_are_fetched_at_once() {
    let (server, stack) = (Server::new(), stack());
    // None is answered to its end before all of them are asked for.
    let gate = Gate::together(4);
    for name in ["a", "b", "c", "d"] {
        let path = format!("/{name}");
        let source = plain(&server, &path, &program(name), "1.0");
        server.put(&path, Answer::Held(program(name), gate.clone()));
        stack.service(name, &of_its_own(name, &source));
    }
    stack.up();
    for name in ["a", "b", "c", "d"] {
        expect_runs(&stack, name, &format!("{name}-1.0/{name}"));
        assert_eq!(locked(&stack, name)["sha256"], sha256(&program(name)), "{name}");
    }
    assert_eq!(server.asked_at_all(), 4);
}
