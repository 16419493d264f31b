//! Resolves how many requests a client may send.

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use crate::diagnostic::Diagnostic;
use crate::manifest::rate::{RateKey, RateKeyOf, RateLimits};

/// How many requests each client may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Path prefixes whose requests count; empty means all.
    pub paths: Vec<String>,
    /// So many requests on average.
    pub count: u32,
    /// In so many seconds.
    pub seconds: u32,
    /// So many may come at once.
    pub burst: u32,
    /// What tells clients apart.
    pub key: Key,
    /// Whether what is above is only counted.
    pub dry_run: bool,
}

/// What tells clients apart. Where a request lacks it, its address does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Their address.
    Address,
    /// The header of this name.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
}

/// The limits of a route.
pub(super) fn resolve(written: Option<&RateLimits>, faults: &mut Faults<'_>) -> Vec<Rate> {
    let Some(written) = written else { return Vec::new() };
    let resolved = written.all().iter().enumerate().map(|(index, limit)| {
        let index = index.to_string();
        let mut at = vec!["route", "rate_limit"];
        if matches!(written, RateLimits::Several(_)) {
            at.push(&index);
        }
        let example = "for example {\"per_second\": 10, \"burst\": 20}";
        let (count, seconds) = match (limit.per_second, limit.per_minute) {
            (Some(count), None) => (count, 1),
            (None, Some(count)) => (count, 60),
            (None, None) => {
                let fault = Diagnostic::new("missing-key", "a rate limit needs a key `per_second` or `per_minute`");
                faults.add(&at, fault.help(example));
                (1, 1)
            }
            (Some(_), Some(_)) => {
                let message = "a rate limit has `per_second` or `per_minute`, not both";
                let at = [&at[..], &["per_minute"]].concat();
                let help = "write one of them; a second limit may stand beside the first one, in a list";
                faults.add(&at, Diagnostic::new("wrong-value", message).help(help));
                (1, 1)
            }
        };
        for (number, path) in limit.paths.iter().enumerate() {
            let is_plain = !path.contains(['*', '?', '#', ' ', '{', '}']) && !path.contains(char::is_control);
            if !path.starts_with('/') || !is_plain {
                let number = number.to_string();
                let fault = Diagnostic::new("bad-route", format!("`{path}` is not a path prefix"))
                    .help("a prefix starts with `/` and is plain text: \"/api\"");
                faults.add(&[&at[..], &["paths", &number]].concat(), fault);
            }
        }
        let key = match &limit.key {
            RateKey::Address(_) => Key::Address,
            RateKey::Of(RateKeyOf { header: Some(name), cookie: None }) => Key::Header(name.clone()),
            RateKey::Of(RateKeyOf { header: None, cookie: Some(name) }) => Key::Cookie(name.clone()),
            RateKey::Of(_) => {
                let message = "the `key` of a rate limit is \"address\", one header or one cookie";
                let help = "for example {\"header\": \"X-Api-Key\"} or {\"cookie\": \"session\"}";
                faults.add(&[&at[..], &["key"]].concat(), Diagnostic::new("wrong-value", message).help(help));
                Key::Address
            }
        };
        if let Key::Header(name) | Key::Cookie(name) = &key
            && (name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        {
            let what = if matches!(key, Key::Header(_)) { "header" } else { "cookie" };
            let fault = Diagnostic::new("wrong-value", format!("\"{name}\" is not the name of a {what}"));
            faults.add(&[&at[..], &["key", what]].concat(), fault);
        }
        Rate {
            // All paths are no prefix.
            paths: if limit.paths.iter().any(|path| path == "/") { Vec::new() } else { limit.paths.clone() },
            count: count.max(1),
            seconds,
            burst: limit.burst.unwrap_or(count).max(1),
            key,
            dry_run: limit.dry_run,
        }
    });
    resolved.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::SourceFile;
    use crate::name::ServiceName;
    use crate::tree;

    fn resolved(limit: &str) -> (Vec<Rate>, Vec<String>) {
        let text = format!("{{\"route\": {{\"rate_limit\": {limit}}}}}");
        let file = Arc::new(SourceFile { path: "services/web/service.json".into(), text: text.clone() });
        let node = tree::parse(&file, &mut Vec::new()).unwrap();
        let name = ServiceName::new("web").unwrap();
        let mut out = Vec::new();
        let written: RateLimits = serde_json::from_str(limit).unwrap();
        let rates = resolve(Some(&written), &mut Faults { name: &name, node: &node, out: &mut out });
        let told = out.into_iter().map(|fault| {
            let at = fault.at.expect("a place");
            format!("{} at {}", fault.message, &text[at.start..at.end])
        });
        (rates, told.collect())
    }

    #[test]
    fn what_is_left_out_follows_from_the_rate() {
        let rate = |limit: &str| {
            let (rates, told) = resolved(limit);
            assert_eq!(told, [""; 0]);
            let rate = &rates[0];
            (rate.count, rate.seconds, rate.burst, rate.key.clone())
        };
        assert_eq!(rate(r#"{"per_second": 10}"#), (10, 1, 10, Key::Address));
        assert_eq!(rate(r#"{"per_minute": 5, "burst": 2, "key": "address"}"#), (5, 60, 2, Key::Address));
        assert_eq!(rate(r#"[{"per_second": 1, "key": {"cookie": "session"}}]"#).3, Key::Cookie("session".into()));
        assert_eq!(rate(r#"{"per_second": 1, "key": {"header": "X-Api-Key"}}"#).3, Key::Header("X-Api-Key".into()));
        assert!(resolved(r#"{"per_second": 1, "paths": ["/", "/api"]}"#).0[0].paths.is_empty());
    }

    #[test]
    fn wrong_values_are_told_at_their_fields() {
        let told = |limit: &str| resolved(limit).1.concat();
        assert_eq!(told(r#"{"burst": 2}"#), "a rate limit needs a key `per_second` or `per_minute` at {\"burst\": 2}");
        assert_eq!(
            told(r#"[{"per_second": 1}, {"per_second": 1, "per_minute": 7}]"#),
            "a rate limit has `per_second` or `per_minute`, not both at 7"
        );
        assert_eq!(told(r#"{"per_second": 1, "paths": ["/a", "b*"]}"#), "`b*` is not a path prefix at \"b*\"");
        assert!(told(r#"{"per_second": 1, "key": {}}"#).contains("one header or one cookie at {}"));
        assert!(told(r#"{"per_second": 1, "key": {"header": "a", "cookie": "b"}}"#).contains("one header or one"));
        assert_eq!(
            told(r#"{"per_second": 1, "key": {"header": "X Key"}}"#),
            "\"X Key\" is not the name of a header at \"X Key\""
        );
    }
}
