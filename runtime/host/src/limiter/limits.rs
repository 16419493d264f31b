//! Limits, and the clients that were counted of late. However many there are, a limit takes no more memory than that of
//! [`MOST`] clients.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde::Deserialize;

/// The most clients of one limit that are told apart: some 40 MiB.
const MOST: usize = 1_000_000;
/// While there are more, so many groups of them are: of a flood, each gets little, and a client beside it loses little.
const GROUPS: u64 = 1 << 16;
/// How long nobody looks for clients that may be forgotten after all had to be kept.
const PAUSE: Duration = Duration::from_secs(1);

/// The file with the limits.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    /// The most bytes that a request may have.
    pub(super) head_bytes: usize,
    limits: HashMap<String, Written>,
}

/// A limit, as it is written there.
#[derive(Debug, Deserialize)]
struct Written {
    name: String,
    count: u32,
    seconds: u32,
    burst: NonZeroU32,
    key: Option<String>,
    dry_run: bool,
}

type Clients<C> = RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// One limit.
struct Limit<C: Clock> {
    name: String,
    /// The header of a question that tells clients apart; else their address does.
    key: Option<String>,
    dry_run: bool,
    clients: Clients<C>,
    /// When it was full, and nobody of them could be forgotten.
    full: Option<C::Instant>,
    asked: u64,
    above: u64,
}

/// All limits.
pub(super) struct Limits<C: Clock> {
    clock: C,
    /// Nobody knows it: nobody can choose who is counted as whom.
    hash: RandomState,
    all: HashMap<String, Limit<C>>,
}

impl<C: Clock + Clone> Limits<C> {
    pub(super) fn new(file: File, clock: C) -> Self {
        let made = file.limits.into_iter().map(|(id, written)| {
            let each = Duration::from_secs(written.seconds.into()) / written.count.max(1);
            let quota = Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN));
            let clients = RateLimiter::hashmap_with_clock(quota.allow_burst(written.burst), clock.clone());
            let Written { name, key, dry_run, .. } = written;
            (id, Limit { name, key, dry_run, clients, full: None, asked: 0, above: 0 })
        });
        Self { all: made.collect(), hash: RandomState::new(), clock }
    }

    /// Counts a request for the limits of these names, each after a `*`. `key` returns one of its headers. The answer is how
    /// long it has to wait, if it is too much.
    pub(super) fn count<'a>(
        &mut self,
        names: &str,
        address: &str,
        key: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Result<(), Duration> {
        for name in names.split('*') {
            // One that it does not know is of a file that is not its own yet, or no longer.
            let Some(limit) = self.all.get_mut(name) else { continue };
            let text = limit.key.as_deref().and_then(&key).filter(|text| !text.is_empty());
            let client = match text {
                Some(text) => self.hash.hash_one((1, &*text)),
                None => match parsed(address) {
                    Some(network) => self.hash.hash_one((2, network)),
                    None => self.hash.hash_one((3, address)),
                },
            };
            limit.asked += 1;
            if let Err(wait) = limit.count(client, &self.clock) {
                limit.above += 1;
                if !limit.dry_run {
                    return Err(wait);
                }
            }
        }
        Ok(())
    }

    /// Forgets clients that could send as much as those that never came.
    pub(super) fn forget(&mut self) {
        for limit in self.all.values_mut().filter(|limit| !limit.clients.is_empty()) {
            limit.clients.retain_recent();
            limit.clients.shrink_to_fit();
        }
    }

    /// What was too much since it was asked last, a sentence for each limit.
    pub(super) fn tell(&mut self) -> Vec<String> {
        let mut all: Vec<String> = self.all.values_mut().filter_map(Limit::tell).collect();
        all.sort();
        all
    }
}

impl<C: Clock> Limit<C> {
    fn count(&mut self, client: u64, clock: &C) -> Result<(), Duration> {
        let now = clock.now();
        let client = if self.is_full(now) { client % GROUPS } else { client };
        self.clients.check_key(&client).map_err(|refused| refused.wait_time_from(now))
    }

    /// Whether clients are told apart no longer. Then it looks again and again who may be forgotten.
    fn is_full(&mut self, now: C::Instant) -> bool {
        if self.clients.len() < MOST {
            return false;
        }
        let is_time = self.full.is_none_or(|since| Duration::from(now.duration_since(since)) >= PAUSE);
        if is_time {
            self.clients.retain_recent();
            self.full = Some(now);
        }
        self.clients.len() >= MOST
    }

    fn tell(&mut self) -> Option<String> {
        let (asked, above) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.above));
        let what = if self.dry_run { "would have been refused (dry_run)" } else { "were refused" };
        (above > 0).then(|| format!("{}: {above} of {asked} requests {what}", self.name))
    }
}

/// What an address counts as: a client has 64 bits of IPv6 for itself.
fn parsed(address: &str) -> Option<IpAddr> {
    let address = address.split('%').next().unwrap_or_default();
    Some(match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four @ IpAddr::V4(_) => four,
    })
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(text: &str) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let file: File = serde_json::from_str(&format!("{{\"head_bytes\": 1, \"limits\": {text}}}")).unwrap();
        (Limits::new(file, clock.clone()), clock)
    }

    const ONE: &str = r#"{"web.0": {
        "name": "web, 10 a second", "count": 10, "seconds": 1, "burst": 2, "key": null, "dry_run": false
    }}"#;

    #[test]
    fn each_client_has_its_rate_and_its_burst() {
        let (mut limits, clock) = limits(ONE);
        let mut ask = |address: &str| limits.count("*web.0", address, |_| None);
        assert_eq!([ask("192.0.2.1").is_ok(), ask("192.0.2.1").is_ok()], [true, true]);
        let wait = ask("192.0.2.1").unwrap_err();
        assert!(wait > Duration::from_millis(99) && wait <= Duration::from_millis(100), "{wait:?}");
        assert!(ask("192.0.2.2").is_ok(), "another one");
        clock.advance(Duration::from_secs(10));
        let passed = (0..10).filter(|_| ask("192.0.2.1").is_ok()).count();
        assert_eq!(passed, 2, "no more at once than the burst, however long nothing came");
        let mut passed = 0;
        for _ in 0..1000 {
            clock.advance(Duration::from_millis(10));
            passed += usize::from(ask("192.0.2.1").is_ok());
        }
        assert_eq!(passed, 100);
        assert!(limits.count("*none", "192.0.2.1", |_| None).is_ok(), "a limit that it does not know");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (mut limits, _clock) = limits(ONE);
        let mut ask = |address: &str| limits.count("*web.0", address, |_| None).is_ok();
        assert!(ask("2001:db8::1") && ask("2001:db8::2") && !ask("2001:db8::3"));
        assert!(ask("2001:db8:0:1::1"));
        assert!(ask("192.0.2.1") && ask("::ffff:192.0.2.1") && !ask("192.0.2.1"), "the same address");
        assert!(ask("fe80::1%eth0") && ask("fe80::2%eth1") && !ask("fe80::3"));
    }

    #[test]
    fn a_text_tells_clients_apart_where_there_is_one() {
        let (mut limits, _clock) = limits(&ONE.replace("null", "\"x-key\""));
        let mut ask = |key: &'static str| {
            let key = |name: &str| (name == "x-key").then_some(Cow::Borrowed(key));
            limits.count("*web.0", "192.0.2.1", key).is_ok()
        };
        assert!(ask("a") && ask("a") && !ask("a") && ask("b"));
        assert!(ask("") && ask("") && !ask(""), "by its address");
        assert!(ask("192.0.2.1"), "a text is no address");
    }

    #[test]
    fn what_is_tried_out_refuses_nothing_and_is_told() {
        let (mut limits, _clock) = limits(&ONE.replace("false", "true"));
        let passed = (0..5).filter(|_| limits.count("*web.0", "192.0.2.1", |_| None).is_ok()).count();
        assert_eq!(passed, 5);
        assert_eq!(limits.tell(), ["web, 10 a second: 3 of 5 requests would have been refused (dry_run)"]);
        assert_eq!(limits.tell(), [""; 0]);
    }

    #[test]
    fn a_flood_of_clients_is_limited_in_memory() {
        let (mut limits, clock) =
            limits(&ONE.replace("\"count\": 10, \"seconds\": 1", "\"count\": 1, \"seconds\": 60"));
        let mut ask = |number: usize| {
            let text = number.to_string();
            limits.count("*web.0", &text, |_| None).is_ok()
        };
        assert!((0..MOST).all(&mut ask));
        let more = (MOST..MOST + 300_000).filter(|number| ask(*number)).count();
        let groups = usize::try_from(GROUPS).unwrap();
        assert!(more > groups && more <= 2 * groups, "each group has its burst: {more}");
        assert!(limits.all["web.0"].clients.len() <= MOST + groups);
        // All could send as much again as those that never came.
        clock.advance(Duration::from_secs(3600));
        let (mut first, all) = (0, 10);
        for _ in 0..all {
            first += usize::from(limits.count("*web.0", "1", |_| None).is_ok());
        }
        assert_eq!(first, 2);
        assert_eq!(limits.all["web.0"].clients.len(), 1);
        clock.advance(Duration::from_secs(3600));
        limits.forget();
        assert_eq!(limits.all["web.0"].clients.len(), 0);
    }
}
