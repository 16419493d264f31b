//! A certificate of a real CA is renewed while its host is asked: as Caddy does it, which looks every ten minutes.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;

use crate::common::load::{Load, Shape};
use crate::common::pebble::Pebble;
use crate::common::{Stack, free_port, manifests, until};
use crate::figures::Figures;
use crate::hosts::web;
use crate::place::{Place, rest};
use crate::settings::Settings;

const HOST: &str = "shop.test";
/// With a third of it left, which is so after eight minutes, a certificate is renewed at the next look, after ten.
const LIFE: Duration = Duration::from_secs(12 * 60);
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(13 * 60);
/// How often to look which certificate there is.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks from before until after it is renewed.
pub(crate) fn take(_settings: &Settings, _place: &Place, figures: &mut Figures) {
    let (stack, plain, secure) = (Stack::with_programs(), free_port(), free_port());
    let pebble = Pebble::issuing(plain, secure, LIFE);
    let mut caddy = manifests::edge(pebble.config());
    caddy["ports"] = json!({"http": {"port": plain}, "https": {"port": secure}});
    stack.service("caddy", &caddy).service("web", &web(HOST, "/"));
    stack.ok(&["up", "-d", "--timeout", "120"]);
    let (client, address) = (pebble.client(), format!("127.0.0.1:{secure}"));
    until("it has a certificate", || client.get(&address, HOST, "/").is_ok());
    let certificate = || client.certificate(&address, HOST).expect("a certificate");
    let (first, began) = (certificate(), Instant::now());
    let of = |fresh| {
        Load::begin(Shape {
            address: address.clone(),
            asks: vec![(Method::GET, "/".into()), (Method::POST, "/".into())],
            clients: 5,
            rate: Some(50),
            fresh,
            headers: Vec::new(),
            tls: Some((client.clone(), HOST.into())),
        })
    };
    let loads = [of(false), of(true)];
    while certificate() == first {
        assert!(began.elapsed() < LONGEST, "it is not renewed");
        std::thread::sleep(PAUSE);
    }
    let renewed = loads[0].began.elapsed();
    figures.line("renewal: the host has another certificate after", began.elapsed(), "of twelve minutes");
    rest();
    let [mut all, other] = loads.map(Load::end);
    all.samples.extend(other.samples);
    all.reopened += other.reopened;
    let window = (renewed.saturating_sub(Duration::from_secs(10)), renewed + Duration::from_secs(2));
    figures.note("a certificate of a CA is renewed, 100 rps", &all, &[window], "");
    stack.ok(&["down"]);
}
