//! Downloads that fail: nothing of them is left, what runs runs on, and the next try begins anew.

use serde_json::json;

use crate::common::free_port;
use crate::common::trials::{Test, tests};
use crate::parcel::{program, sha256, tar_gz, zip};
use crate::server::{Answer, Server};
use crate::shelf::{expect_nothing_lands, expect_runs, expect_words, plain, served, service, shelf, stack, with_file};

pub(crate) const TESTS: &[Test] = tests![
    a_wrong_hash_is_told_with_the_right_one,
    a_body_that_breaks_off_leaves_nothing,
    not_found_leaves_nothing,
    a_refused_connection_leaves_nothing,
    a_broken_archive_leaves_nothing,
    an_archive_without_the_program_leaves_nothing,
    the_next_try_begins_anew,
    what_runs_keeps_its_process,
    what_runs_is_kept_when_its_new_program_fails,
];

fn a_wrong_hash_is_told_with_the_right_one() {
    let (server, stack) = (Server::new(), stack());
    let source = plain(&server, "/tool", &program("one"), "1.0");
    server.put("/tool", Answer::Whole(program("evil")));
    stack.service("one", &service(&json!([source])));
    let (expected, got) = (sha256(&program("one")), sha256(&program("evil")));
    expect_nothing_lands(&stack, &[&server.url("/tool"), &expected, &got, "the manifest says"]);
}

fn a_body_that_breaks_off_leaves_nothing() {
    let (server, stack) = (Server::new(), stack());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.service("one", &service(&json!([plain(&server, "/tool.tar.gz", &packed, "1.0")])));
    server.put("/tool.tar.gz", Answer::Cut(packed.clone()));
    expect_nothing_lands(&stack, &[&server.url("/tool.tar.gz"), "broke off"]);
}

fn not_found_leaves_nothing() {
    let (server, stack) = (Server::new(), stack());
    stack.service("one", &service(&json!([plain(&server, "/tool", &program("one"), "1.0")])));
    expect_nothing_lands(&stack, &[&server.url("/tool"), "404"]);
}

fn a_refused_connection_leaves_nothing() {
    let stack = stack();
    let url = format!("http://127.0.0.1:{}/tool", free_port());
    let source = json!({"source": "url", "url": url, "sha256": sha256(b""), "version": "1.0"});
    stack.service("one", &service(&json!([source])));
    expect_nothing_lands(&stack, &[&url, "refused"]);
}

fn a_broken_archive_leaves_nothing() {
    for (path, whole) in [
        ("/tool.tar.gz", tar_gz(&[("a", 0o644, &[b'x'; 4096]), ("tool", 0o755, &program("one"))])),
        ("/tool.zip", zip(&[("a", 0o644, &[b'x'; 4096]), ("tool", 0o755, &program("one"))])),
    ] {
        let (server, stack) = (Server::new(), stack());
        // What the manifest promises, and yet no archive: it was broken before it was published.
        let half = &whole[..whole.len() / 2];
        stack.service("one", &service(&json!([served(&server, path, half, "1.0")])));
        expect_nothing_lands(&stack, &["the archive cannot be unpacked"]);
    }
}

fn an_archive_without_the_program_leaves_nothing() {
    let (server, stack) = (Server::new(), stack());
    let packed = tar_gz(&[("README", 0o644, b"read me")]);
    let source = with_file(served(&server, "/tool.tar.gz", &packed, "1.0"), "bin/tool");
    stack.service("one", &service(&json!([source])));
    expect_nothing_lands(&stack, &["tool.tar.gz", "holds no program `bin/tool`"]);
    // A folder of that name is none either.
    let packed = tar_gz(&[("bin/tool/README", 0o644, b"read me")]);
    let source = with_file(served(&server, "/tool.tar.gz", &packed, "1.0"), "bin/tool");
    stack.service("one", &service(&json!([source])));
    stack.ok(&["down"]);
    expect_nothing_lands(&stack, &["tool.tar.gz", "holds no program `bin/tool`"]);
}

fn the_next_try_begins_anew() {
    let (server, stack) = (Server::new(), stack());
    let packed = tar_gz(&[("tool", 0o755, &program("one"))]);
    stack.service("one", &service(&json!([plain(&server, "/tool.tar.gz", &packed, "1.0")])));
    server.put("/tool.tar.gz", Answer::Cut(packed.clone()));
    expect_nothing_lands(&stack, &["broke off"]);
    server.put("/tool.tar.gz", Answer::Whole(packed));
    // By itself it is not tried again and again; by whoever asks, at once. `core up` asks too, if the supervisor that
    // it started has failed by then.
    let asked = server.asked_at_all();
    assert!((1..=2).contains(&asked), "{asked}");
    stack.ok(&["apply"]);
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(server.asked_at_all(), asked + 1);
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
}

fn what_runs_keeps_its_process() {
    let (server, stack) = (Server::new(), stack());
    stack.shell("old", "exec sleep 1000", json!({}));
    stack.up();
    let pid = stack.pid("old");
    stack.service("one", &service(&json!([plain(&server, "/none", &program("one"), "1.0")])));
    stack.shell("new", "exec sleep 1000", json!({}));
    let said = stack.core(&["apply"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &[&server.url("/none"), "404"]);
    // Neither what ran before nor what came with it has to suffer.
    assert_eq!(stack.pid("old"), pid);
    assert_eq!(stack.instance("old")["restarts"], 0);
    assert_eq!(stack.instance("new")["phase"], "ready");
    assert_eq!(shelf(&stack.root), [""; 0]);
    let waiting = stack.instance("one")["waiting_on"].clone();
    assert_eq!(waiting[0]["code"], "binary_failed", "{waiting}");
    expect_words(&waiting.to_string(), &["404"]);
}

fn what_runs_is_kept_when_its_new_program_fails() {
    let (server, stack) = (Server::new(), stack());
    stack.service("one", &service(&json!([served(&server, "/1", &program("one"), "1.0")])));
    stack.up();
    let pid = stack.pid("one");
    stack.service("one", &service(&json!([plain(&server, "/2", &program("two"), "2.0")])));
    let said = stack.core(&["apply"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &[&server.url("/2"), "404"]);
    assert_eq!(stack.pid("one"), pid);
    expect_runs(&stack, "one", "tool-1.0/tool");
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
}
