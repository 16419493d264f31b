//! `config`: the settings for the driver of a service's kind.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::edge::{Acme, Headers, Limits, OnDemand, Tls};

/// How long each hook may take if the manifest does not say.
const LONGEST: Duration = Duration::from_secs(600);

/// Settings of the service's kind: `topology` and `deployment` are for kind nats; `trusted_proxies`,
/// `proxy_protocol`, `tls`, `email`, `acme`, `certificates`, `on_demand`, `http3`, `headers`, `limits`, `allow`, `deny`, `auth`,
/// `error_pages` and `access_log` for kind caddy; `app`, `mode`, `persist`, `keep`, `build`, `release_command`, `hooks`,
/// `watch_paths`, `skew_cookie` and `preview` for kind next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many servers there are, and how they are joined. Default: single-node.
    #[serde(default)]
    pub topology: Arrangement,
    /// For hub-spoke: what each profile has of them, by the profile's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deployment: BTreeMap<String, Deployment>,
    /// Proxies in front of the edge: addresses, networks such as 10.0.0.0/8, `private_ranges`, or "file:PATH" for a file with
    /// one a line, relative to the stack's root. What they say of the client in `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` reaches the app. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Load balancers in front of the edge that say by the PROXY protocol, at the beginning of each connection, who the client
    /// is; written as for `trusted_proxies`. Connections of others are what they are. Not for HTTP/3. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_protocol: Vec<String>,
    /// Where the certificates of the edge come from. Default: auto where `certificates` is set, or `email` or `acme` and
    /// the profile is not local; else off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Whom the CA writes to when something is wrong with a certificate. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The CAs that certificates come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Certificates of your own, in PEM format: files with a certificate, whose key is in them or beside them
    /// ("certs/example.crt" with "certs/example.key"), or folders with such files ("/etc/letsencrypt/live"), relative to the
    /// stack's root. They may have wildcards. A new one is used when it is saved; if it is wrong, the one before serves on.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// Certificates for names that no route has. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemand>,
    /// Whether the edge also speaks HTTP/3, on the UDP port with the number of its HTTPS port. Default: true where its
    /// certificates are from a CA that everybody trusts (`tls` is auto, and the profile is not local), else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http3: Option<bool>,
    /// Headers that the edge adds to answers which have none of that name; false for one that it is not to add. Default, with
    /// certificates: X-Content-Type-Options: nosniff, Referrer-Policy: strict-origin-when-cross-origin, X-Frame-Options:
    /// SAMEORIGIN, Permissions-Policy: browsing-topics=(), and Strict-Transport-Security: max-age=31536000 unless the profile
    /// is local or `acme` names the CA.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: Headers,
    /// What clients of the edge may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Networks whose clients are answered: addresses, networks such as 10.0.0.0/8, `private_ranges`, or "file:PATH" for a
    /// file with one a line, relative to the stack's root; others get 403. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Networks whose clients get 403, written as for `allow`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Folder with pages for what the edge itself answers, relative to the stack's root: 404.html, 503.html and so on, 4xx.html
    /// and 5xx.html for all others. Each is one file, without images and styles of its own; clients that take no HTML get
    /// text. Answers of apps are theirs. Default: text only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_pages: Option<String>,
    /// Who is let in, for each route that does not say it: "basic" for the users of `core auth add` with the name of this
    /// service, {"forward": …} for those whom another service lets in, false for everybody. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Whether the edge writes down each request that a service answers, without its query: for `core logs --access` and
    /// `core top`. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<bool>,
    /// Folder of the app, relative to the stack's root. Default: the root where its package.json names the framework, else
    /// the one app below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What runs of the app. Default: dev with the profile local, release with any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Files and folders of the app that it writes: "db.sqlite", "uploads/". In a release they are links to
    /// `.data/<service>`, where they stay; what ships with the app is copied there once. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persist: Vec<String>,
    /// Releases that are kept beside the live one and the one before it, of those that served. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// How releases of the app are built.
    #[serde(default, skip_serializing_if = "Build::is_default")]
    pub build: Build,
    /// A shell line that runs once per deploy, in the folder of the new release and with the environment of the service,
    /// before the release serves: "npx prisma migrate deploy". If it fails, the deploy ends and nothing is switched. A
    /// rollback undoes nothing of it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_command: Option<String>,
    /// Files that `core deploy --if-changed` looks at, relative to the project, by the rules of `.gitignore`: "/apps/web/",
    /// "packages/ui", "!*.md". Default: all that a build uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch_paths: Vec<String>,
    /// Programs that are run around a deploy.
    #[serde(default, skip_serializing_if = "Hooks::is_default")]
    pub hooks: Hooks,
    /// Whether a cookie names the release of the page that a browser has open, so that also what its scripts and elements ask
    /// for without naming a release goes to that one, while it is kept after a deploy. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skew_cookie: bool,
    /// What is special about previews, which `core deploy --preview NAME` makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// What is special about previews.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Environment variables of previews, over those of the service: of their processes, and of their builds as far as they
    /// are put into the bundle (`NEXT_PUBLIC_…`). Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Minutes after which a preview stops that nobody asks for; the next request starts it again. 0 means never. Default:
    /// 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<f64>,
    /// Days after its last deploy until a preview is removed. 0 means never. Default: 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<f64>,
}

/// Shell lines that are run around a deploy. Each gets the `release.json` of its release on standard input, as JSON, with
/// `hook` and, after a failure, `message`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// In the copy that is built, before packages are installed. If it fails, the deploy ends. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_build: Option<String>,
    /// In the copy that was built. If it fails, the deploy ends. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_build: Option<String>,
    /// In the folder of the new release, after `release_command` and before it is started. If it fails, the deploy ends.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_switch: Option<String>,
    /// In the folder of the new release, once it serves and was observed. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_switch: Option<String>,
    /// After a deploy that failed, at whatever step. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// In the folder of the release that the service went back to. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_rollback: Option<String>,
    /// Seconds that each of them, and `release_command`, may take. Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u64>,
}

impl Hooks {
    /// How long each may take.
    pub fn longest(&self) -> Duration {
        self.timeout_seconds.map_or(LONGEST, Duration::from_secs)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How releases of an app are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Environment variables of the build, on top of those of `core up` and of the stack's variables that are put into the
    /// bundle by their names (`NEXT_PUBLIC_…`). Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Packages whose install scripts are run beside those that core knows, by name. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// MiB of memory that the build may use. Default: half of what the host has, at least 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 256))]
    pub memory_mb: Option<u64>,
    /// Seconds that each step of the build may take. Default: 1200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u64>,
}

impl Build {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What runs of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its development server, on the sources as they are.
    Dev,
    /// The live release. An edit of the app changes nothing until it is deployed.
    Release,
}

impl Mode {
    /// What runs if a manifest does not say.
    pub fn of_profile(profile: &str) -> Self {
        if profile == "local" { Self::Dev } else { Self::Release }
    }
}

/// How servers of one service are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrangement {
    /// One server.
    #[default]
    SingleNode,
    /// A hub of one server or of a cluster, and servers of other regions that are linked to it.
    HubSpoke,
}

/// The servers of a hub-spoke arrangement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Servers of the hub: one alone, or several as one cluster, which outlives the loss of one of three. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    pub nodes: u32,
    /// Name of the hub's region, which is its JetStream domain. Default: hub.
    #[serde(default = "hub")]
    pub hub_region: String,
    /// Regions with servers of their own, each linked to the hub. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaf_regions: Vec<String>,
    /// The fewest servers the hub may have: `nodes` below it is an error. The servers of other regions link to the
    /// first so many, so that they need not be told of more. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    pub min_hub_nodes: u32,
    /// Servers in each of the other regions; each stands alone. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub leaf_nodes_per_region: u32,
}

fn one() -> u32 {
    1
}

fn hub() -> String {
    "hub".into()
}
