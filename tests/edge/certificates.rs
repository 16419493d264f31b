//! Certificates from files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::issuer::{Issued, Issuer};
use crate::common::tls::Client;
use crate::common::trials::{Test, tests};
use crate::common::until;
use crate::tls::Edge;

pub(crate) const TESTS: &[Test] =
    tests![certificates_from_files_are_followed_through_links, a_name_without_a_certificate_is_told];

/// Lays a certificate as certbot does: links into an archive, replaced one after the other.
fn lay(folder: &Path, number: u32, issued: &Issued) {
    let (archive, live) = (folder.join("archive"), folder.join("live/a.test"));
    for (name, text) in [("privkey", &issued.key), ("fullchain", &issued.certificate)] {
        for folder in [&archive, &live] {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(archive.join(format!("{name}{number}.pem")), text).expect("written");
        let (link, new) = (live.join(format!("{name}.pem")), live.join(".new"));
        symlink(format!("../../archive/{name}{number}.pem"), &new).expect("a link");
        fs::rename(new, link).expect("in its place");
    }
}

fn shown(edge: &Edge, client: &Client, host: &str) -> Option<Vec<u8>> {
    client.certificate(&edge.address(), host).ok()
}

fn certificates_from_files_are_followed_through_links() {
    let (issuer, folder) = (Issuer::new(), tempfile::tempdir().expect("a folder"));
    let client = issuer.client();
    let names = ["*.a.test", "b.test"];
    lay(folder.path(), 1, &issuer.issue(&names, 90));
    let live = folder.path().join("live");
    // The profile is local, and nobody asks a CA.
    let edge = Edge::new(|_, _| json!({"certificates": [live]}), &["*.a.test", "b.test"]);
    for host in ["x.a.test", "b.test"] {
        let answer = client.get(&edge.address(), host, "/").expect("an answer");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    let status = edge.stack.status();
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["certificates"].as_array().map(Vec::len), Some(2), "{status}");
    let (first, load) = (shown(&edge, &client, "x.a.test"), edge.load(&client, "x.a.test"));
    // Nobody has to say that there is a new one.
    lay(folder.path(), 2, &issuer.issue(&names, 90));
    until("the new one is shown", || shown(&edge, &client, "x.a.test").is_some_and(|now| Some(now) != first));
    let second = shown(&edge, &client, "x.a.test");
    // What is wrong is told, and the one from before serves.
    let told = |what: &str| {
        until(what, || {
            let problems = edge.stack.status()["problems"].as_array().cloned().unwrap_or_default();
            let says = |one: &Value| one["message"].as_str().is_some_and(|message| message.contains(what));
            problems.iter().any(|one| one["code"] == "bad-certificate" && says(one))
        });
        edge.stack.core(&["apply"]);
        assert_eq!(shown(&edge, &client, "x.a.test"), second, "while it {what}");
    };
    let mixed = Issued { key: issuer.issue(&names, 90).key, ..issuer.issue(&names, 90) };
    lay(folder.path(), 3, &mixed);
    told("does not match its key, privkey.pem");
    lay(folder.path(), 4, &issuer.issue(&names, -3));
    told("has expired: it was good until");
    fs::rename(folder.path().join("archive"), folder.path().join("away")).expect("moved");
    told("has no certificate with its key in it");
    // The edge itself may be started anew meanwhile.
    edge.swap("1", || ());
    assert_eq!(shown(&edge, &client, "x.a.test"), second);
    fs::rename(folder.path().join("away"), folder.path().join("archive")).expect("moved");
    lay(folder.path(), 5, &issuer.issue(&names, 10));
    until("the last one is shown", || shown(&edge, &client, "x.a.test").is_some_and(|now| Some(now) != second));
    load.expect_none_lost();
    until("nothing is wrong any more", || edge.stack.status()["problems"] == json!([]));
}

fn a_name_without_a_certificate_is_told() {
    let (issuer, folder) = (Issuer::new(), tempfile::tempdir().expect("a folder"));
    lay(folder.path(), 1, &issuer.issue(&["a.test"], 90));
    let chain = folder.path().join("live/a.test/fullchain.pem");
    let edge = Edge::new(|_, _| json!({"certificates": [chain]}), &["a.test"]);
    let refused = |edit: &dyn Fn(), what: &str| {
        edit();
        let said = edge.stack.core(&["apply"]);
        assert!(said.err.contains(what), "{what}: {}", said.err);
    };
    refused(
        &|| edge.stack.edit("web", |web| web["route"]["hosts"] = json!(["a.test", "c.test", "d.test"])),
        "no certificate in `certificates` of `caddy` is for `c.test`",
    );
    refused(
        &|| edge.stack.edit("web", |web| web["route"]["hosts"] = json!(["a.test", "*.d.test"])),
        "no certificate in `certificates` of `caddy` is for `*.d.test`",
    );
    edge.stack.edit("web", |web| web["route"]["hosts"] = json!(["a.test"]));
    refused(
        &|| edge.stack.edit("caddy", |caddy| caddy["config"]["certificates"] = json!([chain, "nowhere"])),
        "`nowhere` in `certificates` of `caddy` cannot be read",
    );
    assert!(shown(&edge, &issuer.client(), "a.test").is_some());
}
