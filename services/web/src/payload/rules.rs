//! Rules that stand before the routes: redirects, rewrites and headers of the configuration, and the proxy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Built;
use super::config::text;

/// Redirects, rewrites and headers of an app's configuration. Those that Next.js adds by itself are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rules {
    /// In their order.
    pub redirects: Vec<Redirect>,
    /// In their order, those that come before files first.
    pub rewrites: Vec<Rewrite>,
    /// In their order.
    pub headers: Vec<HeaderRule>,
}

/// One redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Redirect {
    /// What it matches, as written.
    pub source: String,
    /// Where it leads.
    pub destination: String,
    /// The status code.
    pub status: u64,
    /// Whether it depends on more than the path (`has`, `missing`).
    pub conditional: bool,
    /// What it matches, as a regular expression of JavaScript.
    pub regex: String,
}

/// One rewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rewrite {
    /// What it matches, as written.
    pub source: String,
    /// Where it leads; another host, if it begins with `http`.
    pub destination: String,
    /// When it is looked at: `beforeFiles`, `afterFiles` or `fallback`.
    pub when: String,
    /// Whether it depends on more than the path.
    pub conditional: bool,
    /// What it matches, as a regular expression of JavaScript.
    pub regex: String,
}

/// Headers that are set on what a rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderRule {
    /// What it matches, as written.
    pub source: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// Whether it depends on more than the path.
    pub conditional: bool,
    /// What it matches, as a regular expression of JavaScript.
    pub regex: String,
}

/// The proxy of an app, called middleware before Next.js 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Proxy {
    /// `nodejs` or `edge`.
    pub runtime: String,
    /// What it runs for. One that names no paths runs for everything.
    pub matchers: Vec<Matcher>,
}

/// What a proxy runs for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Matcher {
    /// As written; `None` if nothing was.
    pub source: Option<String>,
    /// As a regular expression of JavaScript.
    pub regex: String,
    /// Whether it depends on more than the path.
    pub conditional: bool,
}

/// The source of a matcher that matches everything because none was written.
const EVERYTHING: &str = "/:path*";

fn is_conditional(rule: &Value) -> bool {
    ["has", "missing"].iter().any(|list| rule[list].as_array().is_some_and(|list| !list.is_empty()))
}

/// The rules of an app's configuration.
pub(super) fn of(built: &Built) -> Rules {
    let manifest = built.json(".next/routes-manifest.json");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let own = |value: &Value| {
        list(value).into_iter().filter(|rule| rule["internal"].as_bool() != Some(true)).collect::<Vec<_>>()
    };
    let string = |value: &Value| text(value).unwrap_or_default();
    let redirects = own(&manifest["redirects"]).into_iter().map(|rule| Redirect {
        source: string(&rule["source"]),
        destination: string(&rule["destination"]),
        status: rule["statusCode"].as_u64().unwrap_or_default(),
        conditional: is_conditional(&rule),
        regex: string(&rule["regex"]),
    });
    // A plain list is that of `afterFiles`.
    let plain = list(&manifest["rewrites"]).into_iter().map(|rule| ("afterFiles", rule));
    let phases = ["beforeFiles", "afterFiles", "fallback"];
    let by_phase = phases.into_iter().flat_map(|when| {
        list(&manifest["rewrites"][when]).into_iter().map(move |rule| (when, rule)).collect::<Vec<_>>()
    });
    // Intercepting routes are rewrites that Next.js adds.
    let is_own = |(_, rule): &(&str, Value)| {
        rule["internal"].as_bool() != Some(true) && !string(&rule["destination"]).contains("/(.")
    };
    let rewrites = plain.chain(by_phase).filter(is_own).map(|(when, rule)| Rewrite {
        source: string(&rule["source"]),
        destination: string(&rule["destination"]),
        when: when.to_owned(),
        conditional: is_conditional(&rule),
        regex: string(&rule["regex"]),
    });
    let headers = own(&manifest["headers"]).into_iter().map(|rule| HeaderRule {
        source: string(&rule["source"]),
        headers: list(&rule["headers"]).iter().map(|one| (string(&one["key"]), string(&one["value"]))).collect(),
        conditional: is_conditional(&rule),
        regex: string(&rule["regex"]),
    });
    Rules { redirects: redirects.collect(), rewrites: rewrites.collect(), headers: headers.collect() }
}

/// The proxy of an app. The one that runs in Node.js is written down apart from the one of the edge runtime.
pub(super) fn proxy(built: &Built) -> Option<Proxy> {
    let edge = built.json(".next/server/middleware-manifest.json")["middleware"]["/"].take();
    let node = built.json(".next/server/functions-config-manifest.json")["functions"]["/_middleware"].take();
    let (runtime, value) = match (edge.is_object(), node.is_object()) {
        (_, true) => ("nodejs", node),
        (true, false) => ("edge", edge),
        (false, false) => return None,
    };
    let matcher = |one: &Value| Matcher {
        source: text(&one["originalSource"]).filter(|source| source != EVERYTHING),
        regex: text(&one["regexp"]).unwrap_or_default(),
        conditional: is_conditional(one),
    };
    Some(Proxy {
        runtime: runtime.to_owned(),
        matchers: value["matchers"].as_array().into_iter().flatten().map(matcher).collect(),
    })
}

impl Proxy {
    /// Whether it runs for everything because nothing was written.
    pub(super) fn is_unlimited(&self) -> bool {
        self.matchers.is_empty() || self.matchers.iter().any(|one| one.source.is_none())
    }
}
