//! Certificates for names that no route has, and the challenges by which a CA believes a name.

use std::time::Duration;

use serde_json::json;

use crate::common::pebble::Pebble;
use crate::common::trials::{Test, tests};
use crate::common::{free_port, http, until};
use crate::releases::Scene;
use crate::tls::Edge;

pub(crate) const TESTS: &[Test] = tests![
    names_of_customers_get_certificates_when_the_app_says_so,
    previews_get_certificates,
    each_challenge_is_enough
];

fn names_of_customers_get_certificates_when_the_app_says_so() {
    let mut pebble = None;
    let config = |plain, secure| {
        // So short that they are renewed meanwhile.
        let pebble = pebble.insert(Pebble::issuing(plain, secure, Duration::from_secs(30)));
        let mut config = pebble.config();
        config["on_demand"] = json!({"ask": "/allows/customer.test", "per_hour": 2});
        config
    };
    let edge = Edge::new(config, &[]);
    let client = pebble.as_ref().expect("it was made").client();
    let serves =
        |host: &str| client.get(&edge.address(), host, "/").is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"));
    until("a name has its certificate", || serves("one.customer.test"));
    let load = edge.load(&client, "one.customer.test");
    let first = client.certificate(&edge.address(), "one.customer.test");
    until("another one has its own", || serves("two.customer.test"));
    for host in ["evil.test", "three.customer.test"] {
        assert!(client.get(&edge.address(), host, "/").is_err(), "{host}");
    }
    let said = edge.stack.own_log();
    assert!(said.contains("three.customer.test gets no certificate now") && !said.contains("evil.test"), "{said}");
    // Only the edge asks.
    let url = format!("http://127.0.0.1:{}/.well-known/core-certificate?domain=four.customer.test", edge.plain);
    assert_eq!(http::request("GET", &url, &[], "").expect("an answer").0, 429);
    assert!(edge.redirected("one.customer.test", "/x").starts_with("HTTP/1.0 308"));
    assert!(edge.redirected("127.0.0.1", "/").starts_with("HTTP/1.0 200"));
    until("it is renewed", || client.certificate(&edge.address(), "one.customer.test") != first);
    // Another program finds what the first one has got.
    edge.swap("1", || ());
    assert!(serves("one.customer.test") && serves("two.customer.test"));
    load.expect_none_lost();
    edge.stack.edit("web", |web| web["route"]["paths"] = json!(["/other"]));
    let said = edge.stack.core(&["apply"]);
    assert!(said.err.contains("`/allows/customer.test` for an unknown"), "{}", said.err);
}

/// As soon as somebody comes, and no other name below the host.
fn previews_get_certificates() {
    let scene = Scene::new(json!({}));
    let (plain, secure) = (free_port(), free_port());
    let pebble = Pebble::new(plain, secure);
    scene.stack().edit("web", |web| web["route"]["hosts"] = json!(["shop.test"]));
    scene.stack().edit("caddy", |caddy| {
        let secure = json!({"port": secure, "protocol": "https", "hold": true, "address": "127.0.0.1"});
        caddy["ports"]["http"]["port"] = json!(plain);
        caddy["ports"]["https"] = secure;
        caddy["config"] = pebble.config();
    });
    scene.stack().ok(&["apply"]);
    let (client, address) = (pebble.client(), format!("127.0.0.1:{secure}"));
    let answer = |host: &str| client.get(&address, host, "/").unwrap_or_default();
    until("the service has a certificate", || answer("shop.test").contains(" 200 "));
    assert_eq!(answer("pr-1.shop.test"), "", "there is no such preview");
    let said = scene.stack().ok(&["deploy", "--preview", "pr-1", "--public"]);
    assert!(said.out.contains(&format!("https://pr-1.shop.test:{secure}\n")), "{said:?}");
    let pid = scene.stack().pid("web~pr-1");
    until("the preview has a certificate", || answer("pr-1.shop.test").ends_with(&format!("pid {pid}\n")));
    assert_eq!(answer("pr-2.shop.test"), "", "there is no such preview");
    let status = scene.stack().status();
    let shown =
        status["certificates"].as_array().expect("certificates").iter().find(|one| one["name"] == "pr-1.shop.test");
    assert!(shown.is_some_and(|one| one["not_after"].is_string()), "{status}");
    let redirected = http::whole("GET", &format!("http://127.0.0.1:{plain}/x"), &[("Host", "pr-1.shop.test")], "");
    let to = format!("Location: https://pr-1.shop.test:{secure}/x\r\n");
    assert!(redirected.as_ref().is_some_and(|answer| answer.contains(&to)), "{redirected:?}");
    // Other names below the host are not redirected to where they have no certificate.
    let other = http::whole("GET", &format!("http://127.0.0.1:{plain}/x"), &[("Host", "pr-2.shop.test")], "");
    assert!(other.as_ref().is_some_and(|answer| answer.contains(" 200 ")), "{other:?}");
    let asked = |name: &str| {
        let url = format!("http://127.0.0.1:{plain}/.well-known/core-certificate?domain={name}");
        http::request("GET", &url, &[], "").expect("an answer").0
    };
    assert_eq!([asked("pr-1.shop.test"), asked("pr-2.shop.test"), asked("shop.test")], [200, 403, 403]);
    scene.stack().ok(&["previews", "remove", "pr-1"]);
    until("its name is not for certificates any more", || asked("pr-1.shop.test") == 403);
    let orders = scene.stack().own_log().matches("may get a certificate").count();
    assert_eq!(orders, 1, "{}", scene.stack().own_log());
}

/// Where the other port is closed: three names by http-01, one by tls-alpn-01.
fn each_challenge_is_enough() {
    let closed = free_port();
    let by = |hosts: &[&str], ports: &dyn Fn(u16, u16) -> (u16, u16)| {
        let mut pebble = None;
        let config = |plain, secure| {
            let (http, tls) = ports(plain, secure);
            pebble.insert(Pebble::new(http, tls)).config()
        };
        let edge = Edge::new(config, hosts);
        let client = pebble.as_ref().expect("it was made").client();
        for host in hosts {
            until("it has a certificate", || client.get(&edge.address(), host, "/").is_ok());
        }
    };
    by(&["a.test", "b.test", "c.test"], &|plain, _| (plain, closed));
    by(&["d.test"], &|_, secure| (closed, secure));
}
