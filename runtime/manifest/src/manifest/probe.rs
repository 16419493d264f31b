//! Probes, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Template;

/// A question asked again and again. Exactly one of `http_get`, `tcp`, `exec`, `notify` says which.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// An HTTP GET request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// Open a TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// A command that exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// The service says it itself on `NOTIFY_SOCKET` (`sd_notify`): `READY=1`; as a liveness probe `WATCHDOG=1`, at
    /// least once in each `period_seconds`. Default: false.
    #[serde(default)]
    pub notify: bool,
    /// Seconds before the first probe. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: Option<f64>,
    /// Seconds between probes once the first has succeeded; until then they are quicker. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01))]
    pub period_seconds: Option<f64>,
    /// Seconds an answer may take. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01))]
    pub timeout_seconds: Option<f64>,
    /// Good answers in a row that make it good. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub success_threshold: Option<u32>,
    /// Bad answers in a row that make it bad. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failure_threshold: Option<u32>,
}

/// An HTTP GET request. Either `url`, or its parts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGet {
    /// `http://HOST:PORT/PATH`, or `http+unix://SOCKET:/PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Template>,
    /// Host. Default: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Template>,
    /// Scheme; http is the only one. Default: http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Path. Default: /.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Template>,
    /// Port, as a number or a placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortText>,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// The status that is good. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status_code: Option<u16>,
    /// Text that the body must hold. Default: any body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
}

/// The scheme of a probe's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
}

/// A port as a number, or as text that becomes one (`${port.http}`).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortText {
    /// A number.
    Number(#[schemars(range(min = 1, max = 65535))] u16),
    /// Text that becomes a number.
    Text(Template),
}

impl PortText {
    /// The port as a template.
    pub fn template(&self) -> Template {
        match self {
            Self::Number(number) => Template::literal(number.to_string()),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A TCP connection that is accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Host. Default: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Template>,
    /// Port, as a number or a placeholder.
    pub port: PortText,
}

/// A command that exits with 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// A line for `sh -c`, with the environment of the service.
    pub command: Template,
    /// Working directory. Default: that of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<Template>,
}
