//! HTTP/3, beside HTTP/1.1 and HTTP/2 on the same port.

use serde_json::json;

use crate::common::http3::Browsers;
use crate::common::tls::Client;
use crate::common::trials::{Test, tests};
use crate::common::{proc, until};
use crate::tls::{Edge, internal_with};

pub(crate) const TESTS: &[Test] = tests![http3_is_spoken_beside_the_others, a_swap_loses_no_client_of_http3];

/// Asks until HTTP/3 has answered.
fn spoken(edge: &Edge, client: &Client) {
    until("HTTP/3 answers", || Browsers::once(client, &edge.address(), "a.test").answered > 0);
}

fn http3_is_spoken_beside_the_others() {
    let (edge, client) = internal_with(json!({"http3": true}));
    spoken(&edge, &client);
    let answer = client.get(&edge.address(), "a.test", "/").expect("an answer").to_ascii_lowercase();
    let offer = format!("alt-svc: h3=\":{}\"", edge.secure);
    assert!(answer.contains(&offer), "{answer}");
    // The sockets outlive the program.
    let pid = edge.stack.pid("caddy");
    proc::kill(pid);
    edge.stack.next_pid("caddy", pid);
    spoken(&edge, &client);
    assert_eq!(edge.stack.status()["problems"], json!([]));
    edge.stack.edit("caddy", |caddy| caddy["config"]["http3"] = json!(false));
    edge.stack.ok(&["apply"]);
    until("it is not offered any more", || {
        client.get(&edge.address(), "a.test", "/").is_ok_and(|answer| !answer.to_ascii_lowercase().contains("alt-svc"))
    });
}

/// Who has a connection is told that it ends and opens another one; meanwhile there is TCP.
fn a_swap_loses_no_client_of_http3() {
    let (edge, client) = internal_with(json!({"http3": true}));
    spoken(&edge, &client);
    let of = |fresh| Browsers::begin(4, &client, &edge.address(), "a.test", fresh);
    let (kept, fresh) = (of(false), of(true));
    for round in 0..3 {
        edge.swap(&format!("{round}"), || ());
    }
    spoken(&edge, &client);
    let (kept, fresh) = (kept.end(), fresh.end());
    assert!(kept.lost.is_empty() && fresh.lost.is_empty(), "{kept:?} {fresh:?}");
    assert!(kept.answered > 0 && fresh.answered > 0, "{kept:?} {fresh:?}");
}
