//! What a host on the internet shows of itself: ports 80 and 443, and ways of TLS.

use std::fs;

use serde_json::json;

use crate::common::apart::apart;
use crate::common::hello::{TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3, is_taken};
use crate::common::http3::Browsers;
use crate::common::tls::Client;
use crate::common::trials::{Test, tests};
use crate::common::{Stack, http, manifests, proc, until};
use crate::fixture;
use crate::place::serving;
use crate::tls::{Edge, internal};

pub(crate) const TESTS: &[Test] = tests![only_what_is_strong_is_spoken];
pub(crate) const OF_ROOT: &[Test] = tests![an_ordinary_user_serves_ports_80_and_443];

/// Authenticated encryption with keys that are lost with the connection: all that may be spoken to a server with an ECDSA
/// key (BSI TR-02102-2; Mozilla's "intermediate" configuration).
const STRONG: [u16; 3] = [0xc02b, 0xc02c, 0xcca9];
/// Those of TLS 1.3.
const OF_1_3: [u16; 3] = [0x1301, 0x1302, 0x1303];

fn only_what_is_strong_is_spoken() {
    let (edge, _) = internal();
    let taken = |version, suite| is_taken(&edge.address(), "a.test", version, suite);
    // All that are registered, without gaps where there are some: export, RC4, 3DES, without encryption or authentication.
    let all = || (0x0001..=0x00ff).chain(0xc001..=0xc0ff).chain(0xcca8..=0xccae).chain(OF_1_3);
    for (version, may) in [(TLS_1_0, &[][..]), (TLS_1_1, &[]), (TLS_1_2, &STRONG), (TLS_1_3, &OF_1_3)] {
        let spoken: Vec<u16> = all().filter(|suite| taken(version, *suite)).collect();
        assert_eq!(spoken, may, "{version:#x}");
    }
}

/// Without a service of root's. Each version of HTTP, over IPv4 and IPv6, also after Caddy is killed, and through an edit.
fn an_ordinary_user_serves_ports_80_and_443() {
    let caddy = manifests::edge(json!({"tls": "internal", "http3": true}));
    let stack = Stack::with_programs().env("CORE_PROFILE", "production");
    stack.write("manifests/production.json", r#"{"watch": false}"#);
    stack.service("caddy", &caddy);
    let stack = stack.hand_over("caddy", &[&fixture::command()]);
    let mut web = serving(&[], json!({}));
    web["process"]["command"] = json!(stack.user().program(&fixture::command()));
    web["route"]["hosts"] = json!(["a.test"]);
    stack.service("web", &web);
    apart(80, move || {
        stack.ok(&["up", "-d", "--timeout", "120"]);
        let root = stack.root.join(".data/caddy/pki/authorities/local/root.crt");
        let client = Client::trusting(&fs::read_to_string(root).expect("its root"));
        let edge = Edge { stack, plain: 80, secure: 443 };
        let all_answer = || {
            let secured = ["127.0.0.1:443", "[::1]:443"];
            let answers = || secured.map(|address| client.get(address, "a.test", "/").expect("an answer"));
            for answer in answers() {
                assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
            }
            for address in ["127.0.0.1:80", "[::1]:80"] {
                let answer = http::whole("GET", &format!("http://{address}/x"), &[("Host", "a.test")], "");
                let answer = answer.expect("an answer");
                assert!(answer.contains("Location: https://a.test/x\r\n"), "{answer}");
            }
            until("HTTP/3 answers", || Browsers::once(&client, &edge.address(), "a.test").answered > 0);
            // It is offered from when it is spoken.
            for answer in answers() {
                assert!(answer.contains("h3=\":443\""), "{answer}");
            }
        };
        until("it has a certificate", || client.get(&edge.address(), "a.test", "/").is_ok());
        all_answer();
        for service in ["caddy", "web"] {
            let status = fs::read_to_string(format!("/proc/{}/status", edge.stack.pid(service))).expect("its status");
            assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
            assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
        }
        let pid = edge.stack.pid("caddy");
        proc::kill(pid);
        all_answer();
        edge.stack.next_pid("caddy", pid);
        let load = edge.load(&client, "a.test");
        edge.stack.edit("caddy", |caddy| caddy["config"]["headers"] = json!({"Referrer-Policy": "no-referrer"}));
        edge.stack.ok(&["apply"]);
        until("it answers in the new way", || {
            client.get(&edge.address(), "a.test", "/").is_ok_and(|answer| answer.contains("no-referrer"))
        });
        edge.swap("1", || ());
        load.expect_none_lost();
        all_answer();
        assert_eq!(edge.stack.status()["problems"], json!([]));
    });
}
