//! Resolves how an edge meets the world.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::rate::Rate;
use super::{Auth, Context, auth, networks, pages};
use crate::diagnostic::Diagnostic;
use crate::manifest::Config;
use crate::manifest::edge::{Directories, Header, Headers, Tls};

/// New names in an hour that may get a certificate if nobody has said otherwise: below the limits of every CA.
const NEW_NAMES: u32 = 20;

/// The header with which browsers are told to use HTTPS only.
const STRICT: &str = "Strict-Transport-Security";
/// In seconds, how long it has to hold for the list that browsers come with.
const PRELOAD_AGE: u64 = 31_536_000;
const PRELOAD_HELP: &str = "the list wants \"max-age=31536000; includeSubDomains; preload\": then every name below the domain is \
                            HTTPS only in all browsers, and to leave the list takes months; without that, take preload away";

/// The settings of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeSpec {
    /// The trusted proxies in front of it, as written.
    pub trusted_proxies: Vec<String>,
    /// The load balancers in front of it that speak the PROXY protocol, as written.
    pub proxy_protocol: Vec<String>,
    /// Where its certificates come from.
    pub tls: Tls,
    /// Whether a CA is asked for those that no file has.
    pub asks_ca: bool,
    /// Files and folders with certificates, as written.
    pub certificate_files: Vec<String>,
    /// The certificates in them.
    pub certificates: Vec<OwnCertificate>,
    /// Certificates for names that no route has.
    pub on_demand: Option<OnDemand>,
    /// Whom the CA writes to.
    pub email: Option<String>,
    /// ACME directories of the CAs that are asked, in order; empty means those that everybody trusts.
    pub directories: Vec<String>,
    /// Absolute paths of files with further roots that are trusted when they are asked.
    pub roots: Vec<String>,
    /// Whether browsers are told to use HTTPS only.
    pub is_strict: bool,
    /// Whether requests are not written down.
    pub unlogged: bool,
    /// The terms for all services.
    pub terms: Terms,
    /// The folder with its own pages for errors, as written.
    pub error_pages: Option<String>,
    /// Bytes of the headers of a request.
    pub header_bytes: Option<u64>,
    /// How long they may take.
    pub header_time: Option<Duration>,
    /// After which a connection without a request is closed.
    pub idle_time: Option<Duration>,
}

/// Certificates for names that no route has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnDemand {
    /// The path that is asked whether a name may have one.
    pub ask: String,
    /// New names in an hour that may get one.
    pub per_hour: u32,
}

/// A certificate from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnCertificate {
    /// The names that it is for; `*.` stands for one label.
    pub names: Vec<String>,
    /// The absolute path of the copy that the edge reads, with the key.
    pub file: String,
}

impl OwnCertificate {
    /// Whether it is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        let covers = |own: &String| {
            own == name
                || own.strip_prefix('*').is_some_and(|rest| {
                    name.split_once('.').is_some_and(|(label, after)| {
                        !label.is_empty() && label != "*" && rest.strip_prefix('.') == Some(after)
                    })
                })
        };
        self.names.iter().any(covers)
    }
}

impl EdgeSpec {
    /// Whether a certificate from a file is for this name.
    pub fn has_file_for(&self, name: &str) -> bool {
        self.certificates.iter().any(|own| own.is_for(name))
    }
}

/// On which terms clients are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Host names whose requests are sent on to another one.
    pub redirect_hosts: Vec<String>,
    /// Headers that are added where an answer has none of that name; `None` for one that is not.
    pub headers: BTreeMap<String, Option<String>>,
    /// Bytes of the body of a request.
    pub body_bytes: Option<u64>,
    /// Networks whose clients are answered, as written; empty means all.
    pub allow: Vec<String>,
    /// Networks whose clients are refused, as written.
    pub deny: Vec<String>,
    /// Who is let in; `None` if it is not said.
    pub auth: Option<Auth>,
    /// How many requests each client may send, if that is limited.
    pub rates: Vec<Rate>,
}

/// The settings in `config`; their default for another kind of service.
pub(super) fn resolve(config: Option<&Config>, context: &Context, faults: &mut Faults<'_>) -> EdgeSpec {
    let Some(config) = config else { return EdgeSpec::default() };
    let (root, profile) = (&context.root, context.profile.as_str());
    if let Some(email) = config.email.as_deref().filter(|email| !is_address(email)) {
        faults.add(
            &["config", "email"],
            Diagnostic::new("wrong-value", format!("`email` is \"{email}\", expected an address")).help(
                "for example \"you@example.org\": the CA writes there when something is wrong with a certificate",
            ),
        );
    }
    let limits = config.limits.clone().unwrap_or_default();
    let mut time = |key: &str, seconds: Option<f64>| {
        seconds.map(|seconds| faults.seconds(&["config", "limits", key], Some(seconds), seconds))
    };
    let (header_time, idle_time) =
        (time("header_seconds", limits.header_seconds), time("idle_seconds", limits.idle_seconds));
    let acme = config.acme.clone().unwrap_or_default();
    let directories = acme.directory.as_ref().map(Directories::all).unwrap_or_default();
    for wrong in directories.iter().filter(|url| !url.starts_with("https://")) {
        faults.add(
            &["config", "acme", "directory"],
            Diagnostic::new("wrong-value", format!("\"{wrong}\" is not the address of an ACME directory")).help(
                "it starts with https://; for example \"https://acme-staging-v02.api.letsencrypt.org/directory\"",
            ),
        );
    }
    let absolute = |path: &String| if path.starts_with('/') { path.clone() } else { format!("{root}/{path}") };
    EdgeSpec {
        trusted_proxies: networks::resolve(
            &["config", "trusted_proxies"],
            &config.trusted_proxies,
            &context.lists,
            faults,
        ),
        proxy_protocol: networks::resolve(
            &["config", "proxy_protocol"],
            &config.proxy_protocol,
            &context.lists,
            faults,
        ),
        tls: config.tls(profile),
        asks_ca: config.asks_ca(profile),
        certificate_files: config.certificates.clone(),
        on_demand: config
            .on_demand
            .as_ref()
            .map(|one| OnDemand { ask: one.ask.clone(), per_hour: one.per_hour.unwrap_or(NEW_NAMES) }),
        certificates: context.certificates.clone(),
        email: config.email.clone(),
        directories: directories.to_vec(),
        roots: acme.roots.iter().map(absolute).collect(),
        // Browsers keep it for a year: not for the certificates of a CA that is tried out, or that not everybody trusts.
        is_strict: config.asks_ca(profile) && profile != "local" && directories.is_empty(),
        unlogged: config.access_log == Some(false),
        terms: Terms {
            redirect_hosts: Vec::new(),
            headers: headers(&["config", "headers"], &config.headers, faults),
            body_bytes: limits.body_mb.map(|mb| u64::from(mb) << 20),
            allow: networks::resolve(&["config", "allow"], &config.allow, &context.lists, faults),
            deny: networks::resolve(&["config", "deny"], &config.deny, &context.lists, faults),
            auth: auth::resolve(&["config", "auth"], config.auth.as_ref(), context.users.as_deref(), faults),
            rates: Vec::new(),
        },
        error_pages: pages::resolve(config.error_pages.as_deref(), &context.folders, faults),
        header_bytes: limits.header_kb.map(|kb| u64::from(kb) << 10),
        header_time,
        idle_time,
    }
}

/// The headers at `path`.
pub(super) fn headers(path: &[&str], written: &Headers, faults: &mut Faults<'_>) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for (name, header) in written {
        let at = [path, &[name.as_str()]].concat();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_name {
            faults.add(&at, Diagnostic::new("wrong-value", format!("\"{name}\" is not the name of a header")));
        }
        let value = match header {
            Header::Value(value) if value.contains(['\r', '\n']) => {
                faults.add(&at, Diagnostic::new("wrong-value", "the value of a header is one line"));
                None
            }
            Header::Value(value) => {
                if name.eq_ignore_ascii_case(STRICT) && is_preloaded_in_vain(value) {
                    let fault = Diagnostic::new(
                        "wrong-value",
                        format!("`{name}` says preload without what the list of browsers wants"),
                    );
                    faults.add(&at, fault.help(PRELOAD_HELP));
                }
                Some(value.clone())
            }
            Header::Added(false) => None,
            Header::Added(true) => {
                let fault = Diagnostic::new("wrong-value", format!("`{name}` is true, expected a value"));
                faults.add(&at, fault.help("write its value, or false if it is not to be added"));
                None
            }
        };
        all.insert(name.clone(), value);
    }
    all
}

/// Whether a domain asks to be put on the list that browsers come with, without what that takes (hstspreload.org).
fn is_preloaded_in_vain(value: &str) -> bool {
    let words: Vec<String> = value.split(';').map(|word| word.trim().to_ascii_lowercase()).collect();
    let has = |word: &str| words.iter().any(|one| one == word);
    let age = words.iter().find_map(|word| {
        word.strip_prefix("max-age")?.trim_start().strip_prefix('=')?.trim().trim_matches('"').parse::<u64>().ok()
    });
    has("preload") && (!has("includesubdomains") || age.is_none_or(|age| age < PRELOAD_AGE))
}

/// Whether this may be an e-mail address; a CA says the rest.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.')) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::SourceFile;
    use crate::name::ServiceName;
    use crate::tree;

    fn resolved(config: &str, profile: &str) -> (EdgeSpec, Vec<String>) {
        let text = format!("{{\"config\": {config}}}");
        let file = Arc::new(SourceFile { path: "services/edge/service.json".into(), text });
        let node = tree::parse(&file, &mut Vec::new()).unwrap();
        let name = ServiceName::new("edge").unwrap();
        let mut out = Vec::new();
        let config: Config = serde_json::from_str(config).unwrap();
        let context = Context { root: "/stack".into(), profile: profile.into(), ..Context::default() };
        let spec = resolve(Some(&config), &context, &mut Faults { name: &name, node: &node, out: &mut out });
        (spec, out.into_iter().map(|fault| fault.message).collect())
    }

    #[test]
    fn an_address_turns_certificates_on() {
        let of = |config: &str, profile: &str| {
            let spec = resolved(config, profile).0;
            (spec.tls, spec.is_strict)
        };
        let email = r#"{"email": "a@b.example"}"#;
        assert_eq!(of(email, "production"), (Tls::Auto, true));
        assert_eq!(of(email, "local"), (Tls::Off, false));
        assert_eq!(of("{}", "production"), (Tls::Off, false));
        assert_eq!(of(r#"{"tls": "auto"}"#, "local"), (Tls::Auto, false));
        let tried_out = r#"{"email": "a@b.example", "acme": {"directory": "https://staging.example/dir"}}"#;
        assert_eq!(of(tried_out, "production"), (Tls::Auto, false));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let own = OwnCertificate { names: vec!["*.a.example".into(), "b.example".into()], ..OwnCertificate::default() };
        let is_for = |name: &str| own.is_for(name);
        assert!(is_for("x.a.example") && is_for("b.example") && is_for("*.a.example"));
        assert!(!is_for("a.example") && !is_for("x.y.a.example") && !is_for("x.b.example") && !is_for(".a.example"));
    }

    #[test]
    fn a_ca_is_asked_for_what_no_file_has() {
        let of = |config: &str, profile: &str| {
            let spec = resolved(config, profile).0;
            (spec.tls, spec.asks_ca, spec.is_strict)
        };
        let files = r#"{"certificates": ["certs"]}"#;
        assert_eq!(of(files, "production"), (Tls::Auto, false, false));
        assert_eq!(of(files, "local"), (Tls::Auto, false, false));
        let both = r#"{"certificates": ["certs"], "email": "a@b.example"}"#;
        assert_eq!(of(both, "production"), (Tls::Auto, true, true));
        assert_eq!(of(both, "local"), (Tls::Auto, false, false));
        assert_eq!(of(r#"{"tls": "auto"}"#, "production"), (Tls::Auto, true, true));
    }

    #[test]
    fn wrong_values_are_told() {
        let told = |config: &str| resolved(config, "production").1.concat();
        assert!(told(r#"{"email": "nobody"}"#).contains("`email` is \"nobody\", expected an address"));
        assert!(told(r#"{"acme": {"directory": "http://ca.example"}}"#).contains("is not the address of an ACME"));
        assert!(told(r#"{"trusted_proxies": ["10.0.0.0/33"]}"#).contains("`10.0.0.0/33`"));
        assert!(told(r#"{"allow": ["::1", "a"]}"#).contains("`a` in `allow` of `edge`"));
        assert!(told(r#"{"headers": {"X-A": true}}"#).contains("`X-A` is true, expected a value"));
        assert!(told(r#"{"auth": "basic"}"#).contains("`edge` is for users with a password, and has no users yet"));
        assert!(told(r#"{"auth": true}"#).contains("`auth` is true, expected"));
        assert!(told(r#"{"auth": {"forward": {}}}"#).contains("`forward` names one service"));
        assert!(told(r#"{"auth": {"forward": {"service": "edge"}}}"#).contains("about requests for itself"));
        assert!(told(r#"{"auth": {"forward": {"url": "127.0.0.1:80"}}}"#).contains("`url` is \"127.0.0.1:80\""));
        assert!(told(r#"{"headers": {"X A": "b"}}"#).contains("\"X A\" is not the name of a header"));
        assert!(told(r#"{"headers": {"X-A": "b\r\nSet-Cookie: c"}}"#).contains("is one line"));
        let roots =
            resolved(r#"{"acme": {"directory": ["https://a/b", "https://c/d"], "roots": ["ca.pem", "/e.pem"]}}"#, "x")
                .0;
        assert_eq!((roots.directories.len(), roots.roots), (2, vec!["/stack/ca.pem".to_owned(), "/e.pem".to_owned()]));
    }

    #[test]
    fn a_domain_is_not_put_on_the_list_of_browsers_by_half() {
        let told = |value: &str| {
            let (_, faults) =
                resolved(&format!(r#"{{"headers": {{"strict-transport-security": "{value}"}}}}"#), "production");
            faults.concat().contains("says preload")
        };
        assert!(told("max-age=31536000; preload") && told("max-age=300; includeSubDomains; preload"));
        assert!(told("includeSubDomains; preload"));
        assert!(!told("max-age=63072000; includeSubDomains; preload") && !told("max-age=300; includeSubDomains"));
    }
}
