//! The configuration of an app, as its server reads it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Built;

/// The configuration of an app, as far as it concerns routes and what is between browser and app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Where all of its routes lie, without the `/` at the end; empty for the root.
    pub base_path: String,
    /// Where its scripts and styles are fetched from, if that is elsewhere.
    pub asset_prefix: Option<String>,
    /// Whether its paths end in `/`.
    pub trailing_slash: bool,
    /// `standalone` or `export`; `None` for a plain build.
    pub output: Option<String>,
    /// Its languages, if they are part of its paths (pages router).
    pub i18n: Option<I18n>,
    /// Its images.
    pub images: Images,
    /// What server actions accept.
    pub actions: Actions,
    /// Whether components are cached and pages partly prerendered (`cacheComponents`).
    pub cache_components: bool,
    /// Whether `'use cache'` is on.
    pub use_cache: bool,
    /// Whether its responses have etags.
    pub etags: bool,
    /// Whether its server compresses.
    pub compress: bool,
    /// Whether it names itself in `X-Powered-By`.
    pub powered_by: bool,
    /// Whether source maps are published.
    pub source_maps: bool,
    /// Whether errors of types do not fail a build.
    pub ignores_type_errors: bool,
    /// How many bytes of a request's body the proxy keeps; more is cut off there.
    pub proxy_body_bytes: Option<u64>,
    /// For how long a page that is out of date may be served, in seconds.
    pub expire_seconds: Option<u64>,
}

/// The languages of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct I18n {
    /// All of them.
    pub locales: Vec<String>,
    /// The one without a prefix.
    pub default_locale: String,
    /// Hosts that have a language of their own.
    pub domains: Vec<Domain>,
    /// Whether the browser's language chooses.
    pub detection: bool,
}

/// A host with a language of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Domain {
    /// The host.
    pub domain: String,
    /// Its language.
    pub default_locale: String,
}

/// How an app treats images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Images {
    /// Whether they are sent as they are.
    pub unoptimized: bool,
    /// What makes their addresses: `default`, or a service.
    pub loader: String,
    /// Where they are asked for.
    pub path: String,
    /// Formats that they are converted to.
    pub formats: Vec<String>,
    /// Qualities that may be asked for; empty means all.
    pub qualities: Vec<u64>,
    /// For how long one is kept at least, in seconds.
    pub least_seconds: Option<u64>,
    /// How much disk they may take, in bytes; `None`: half of what is free.
    pub disk_bytes: Option<u64>,
    /// From where they may be fetched.
    pub remote: Vec<Pattern>,
    /// Whether drawings with scripts (SVG) are sent.
    pub svg: bool,
    /// Whether they may be fetched from addresses of private networks.
    pub private_networks: bool,
}

/// A place that images may be fetched from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pattern {
    /// `http` or `https`; `None` means both.
    pub protocol: Option<String>,
    /// The host, with `*` for one part and `**` for any.
    pub hostname: String,
    /// The path.
    pub pathname: Option<String>,
}

/// What server actions accept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Actions {
    /// The largest body, as written: `1 MB`, if the app says.
    pub body_limit: Option<String>,
    /// Hosts besides the app's own whose pages may call them.
    pub origins: Vec<String>,
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

/// The configuration of an app.
pub(super) fn of(built: &Built) -> Config {
    let config = built.config();
    let experimental = &config["experimental"];
    let is = |value: &Value| value.as_bool().unwrap_or(false);
    let actions = &experimental["serverActions"];
    let limit = &actions["bodySizeLimit"];
    Config {
        base_path: text(&config["basePath"]).unwrap_or_default(),
        // Without one of its own, the base path stands there.
        asset_prefix: text(&config["assetPrefix"])
            .filter(|prefix| Some(prefix.as_str()) != config["basePath"].as_str()),
        trailing_slash: is(&config["trailingSlash"]),
        output: text(&config["output"]),
        i18n: i18n(&config["i18n"]),
        images: images(&config["images"]),
        actions: Actions {
            body_limit: text(limit).or_else(|| limit.as_u64().map(|bytes| bytes.to_string())),
            origins: texts(&actions["allowedOrigins"]),
        },
        cache_components: is(&config["cacheComponents"]) || is(&experimental["cacheComponents"]),
        use_cache: [&config["cacheComponents"], &experimental["cacheComponents"], &experimental["useCache"]]
            .into_iter()
            .any(is),
        etags: config["generateEtags"].as_bool().unwrap_or(true),
        compress: config["compress"].as_bool().unwrap_or(true),
        powered_by: config["poweredByHeader"].as_bool().unwrap_or(true),
        source_maps: is(&config["productionBrowserSourceMaps"]),
        ignores_type_errors: is(&config["typescript"]["ignoreBuildErrors"]),
        proxy_body_bytes: experimental["proxyClientMaxBodySize"]
            .as_u64()
            .or_else(|| experimental["middlewareClientMaxBodySize"].as_u64()),
        expire_seconds: config["expireTime"].as_u64(),
    }
}

fn i18n(value: &Value) -> Option<I18n> {
    let domain = |one: &Value| {
        Some(Domain { domain: text(&one["domain"])?, default_locale: text(&one["defaultLocale"]).unwrap_or_default() })
    };
    value.as_object().map(|_| I18n {
        locales: texts(&value["locales"]),
        default_locale: text(&value["defaultLocale"]).unwrap_or_default(),
        domains: value["domains"].as_array().into_iter().flatten().filter_map(domain).collect(),
        detection: value["localeDetection"].as_bool().unwrap_or(true),
    })
}

fn images(value: &Value) -> Images {
    let pattern = |one: &Value| {
        Some(Pattern {
            protocol: text(&one["protocol"]),
            hostname: text(&one["hostname"])?,
            pathname: text(&one["pathname"]),
        })
    };
    // The older way to allow hosts.
    let domains = texts(&value["domains"]).into_iter();
    let domains = domains.map(|hostname| Pattern { hostname, ..Pattern::default() });
    Images {
        unoptimized: value["unoptimized"].as_bool().unwrap_or(false),
        loader: text(&value["loader"]).unwrap_or_else(|| "default".into()),
        path: text(&value["path"]).unwrap_or_default(),
        formats: texts(&value["formats"]),
        qualities: value["qualities"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        least_seconds: value["minimumCacheTTL"].as_u64(),
        disk_bytes: value["maximumDiskCacheSize"].as_u64(),
        remote: value["remotePatterns"].as_array().into_iter().flatten().filter_map(pattern).chain(domains).collect(),
        svg: value["dangerouslyAllowSVG"].as_bool().unwrap_or(false),
        private_networks: value["dangerouslyAllowLocalIP"].as_bool().unwrap_or(false),
    }
}
