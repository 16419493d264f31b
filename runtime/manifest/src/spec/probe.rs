//! Probes, resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seconds;
use crate::diagnostic::Diagnostic;
use crate::manifest::probe as written;
use crate::template::{Piece, Template};

/// A check that is run repeatedly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What is checked.
    pub check: Check,
    /// Pause before the first probe.
    #[serde(with = "seconds")]
    pub initial_delay: Duration,
    /// Pause between two probes, after one has succeeded.
    #[serde(with = "seconds")]
    pub period: Duration,
    /// How long an answer may take.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// Consecutive successes that make the state good.
    pub success_threshold: u32,
    /// Consecutive failures that make the state bad.
    pub failure_threshold: u32,
}

/// What a probe checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// An HTTP GET request over TCP.
    Http {
        /// `HOST:PORT`.
        address: Template,
        /// Path and query.
        path: Template,
        /// The expected answer.
        answer: HttpAnswer,
    },
    /// An HTTP GET request over a unix socket.
    HttpUnix {
        /// Path of the socket.
        socket: Template,
        /// Path and query.
        path: Template,
        /// The expected answer.
        answer: HttpAnswer,
    },
    /// Whether a program has the configuration in one of its generated files; if it has none yet, it is given it.
    Loaded {
        /// Path of the unix socket of its admin API.
        socket: Template,
        /// Path that says which configuration it has.
        path: Template,
        /// What is answered there once it has that in the file.
        says: String,
        /// Path that takes a configuration.
        load: String,
        /// Path of the file.
        file: Template,
    },
    /// Open a TCP connection.
    Tcp {
        /// `HOST:PORT`.
        address: Template,
    },
    /// A shell command that must exit with 0.
    Exec {
        /// The command line.
        command: Template,
        /// Its working directory; by default that of the service.
        working_dir: Option<Template>,
    },
    /// The state that the service reports on `NOTIFY_SOCKET`.
    Notify,
    /// A line of output. Probed until it was seen once.
    LogLine {
        /// Text that the line must contain.
        text: String,
    },
}

/// What an HTTP request sends apart from its path, and the answer that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// Headers to send.
    pub headers: BTreeMap<String, Template>,
    /// The expected status.
    pub status: u16,
    /// Text that the body must contain.
    pub body_contains: Option<String>,
}

impl HttpAnswer {
    /// An answer that contains this text.
    pub fn saying(text: &str) -> Self {
        Self { headers: BTreeMap::new(), status: 200, body_contains: Some(text.to_owned()) }
    }
}

impl Check {
    /// The check described by a URL: `http://HOST:PORT/PATH`, or `http+unix://SOCKET:/PATH`.
    ///
    /// # Errors
    /// What is wrong with the URL, and what to write instead.
    pub fn of_url(url: &Template, answer: HttpAnswer) -> Result<Self, (&'static str, &'static str)> {
        let url = &takeable_apart(url);
        if let Some(rest) = strip_prefix(url, "http+unix://") {
            let Some((socket, path)) = split(&rest, ":/") else {
                return Err((
                    "the URL of a unix socket has the form `http+unix://SOCKET:/PATH`",
                    "add `:/` and the path",
                ));
            };
            if socket.is_empty() {
                return Err(("the URL names no socket", "write `http+unix://SOCKET:/PATH`"));
            }
            return Ok(Self::HttpUnix { socket, path: path.prefixed("/"), answer });
        }
        let Some(rest) = strip_prefix(url, "http://") else {
            return Err((
                "a probe's URL starts with `http://` or `http+unix://`",
                "probes stay on this host: plain http is enough",
            ));
        };
        let (address, path) =
            split(&rest, "/").map_or((rest.clone(), Template::literal("/")), |(a, p)| (a, p.prefixed("/")));
        let text = address.inlined().to_string();
        if text.is_empty() || text.contains('@') {
            return Err(("the URL names no host", "write `http://127.0.0.1:${port.NAME}/PATH`"));
        }
        let address = if text.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']')) {
            address
        } else {
            Template::from_pieces(address.pieces().iter().cloned().chain(Template::literal(":80").pieces().to_vec()))
        };
        Ok(Self::Http { address, path, answer })
    }

    /// Whether only the probed instance can answer: through its own socket, its log, or a command.
    pub fn is_of_one_instance(&self) -> bool {
        match self {
            Self::Exec { .. } | Self::LogLine { .. } | Self::Notify => true,
            Self::HttpUnix { socket, .. } | Self::Loaded { socket, .. } => socket.mentions_run(),
            Self::Http { .. } | Self::Tcp { .. } => false,
        }
    }
}

impl Probe {
    /// The probe for a `ready_log_line`.
    pub(super) fn log_line(text: String) -> Self {
        Self {
            check: Check::LogLine { text },
            initial_delay: Duration::ZERO,
            period: Duration::from_millis(250),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
        }
    }

    /// Fills in the defaults; `fail` gets each error, with the path of its key.
    pub(super) fn resolve(probe: &written::Probe, fail: &mut dyn FnMut(&[&str], Diagnostic)) -> Option<Self> {
        let checks = [
            probe.http_get.as_ref().and_then(|http| http_check(http, fail)),
            probe.tcp.as_ref().map(|tcp| Check::Tcp { address: address(tcp.host.as_ref(), &tcp.port) }),
            probe
                .exec
                .as_ref()
                .map(|exec| Check::Exec { command: exec.command.clone(), working_dir: exec.working_dir.clone() }),
            probe.notify.then_some(Check::Notify),
        ];
        let named = [probe.http_get.is_some(), probe.tcp.is_some(), probe.exec.is_some(), probe.notify];
        let named = named.iter().filter(|one| **one).count();
        if named != 1 {
            let (found, help) = if named == 0 {
                ("none of them is there", "add the one that shows best that the service can do its work")
            } else {
                ("several of them are there", "keep the one that shows best that the service can do its work")
            };
            fail(
                &[],
                Diagnostic::new(
                    "bad-probe",
                    format!("a probe has exactly one of `http_get`, `tcp`, `exec` and `notify`; {found}"),
                )
                .help(help),
            );
            return None;
        }
        let mut seconds = |key: &str, value: Option<f64>, default: f64| {
            super::faults::duration(value.unwrap_or(default)).unwrap_or_else(|message| {
                fail(&[key], Diagnostic::new("wrong-value", format!("`{key}` {message}")));
                Duration::ZERO
            })
        };
        Some(Self {
            initial_delay: seconds("initial_delay_seconds", probe.initial_delay_seconds, 0.0),
            period: seconds("period_seconds", probe.period_seconds, 10.0),
            timeout: seconds("timeout_seconds", probe.timeout_seconds, 1.0),
            success_threshold: probe.success_threshold.unwrap_or(1),
            // Reports of the service itself are not subject to chance, so one missing report is enough.
            failure_threshold: probe.failure_threshold.unwrap_or(if probe.notify { 1 } else { 3 }),
            check: checks.into_iter().flatten().next()?,
        })
    }
}

fn address(host: Option<&Template>, port: &written::PortText) -> Template {
    let host = host.cloned().unwrap_or_else(|| Template::literal("127.0.0.1"));
    let pieces = host.pieces().iter().cloned();
    Template::from_pieces(
        pieces.chain(Template::literal(":").pieces().to_vec()).chain(port.template().pieces().to_vec()),
    )
}

fn http_check(http: &written::HttpGet, fail: &mut dyn FnMut(&[&str], Diagnostic)) -> Option<Check> {
    let answer = HttpAnswer {
        headers: http.headers.clone(),
        status: http.status_code.unwrap_or(200),
        body_contains: http.body_contains.clone(),
    };
    let mut bad = |key: &str, message: &str, help: &str| {
        fail(&["http_get", key], Diagnostic::new("bad-probe", message.to_owned()).help(help));
    };
    let has_parts = http.host.is_some() || http.port.is_some() || http.path.is_some() || http.scheme.is_some();
    let Some(url) = &http.url else {
        let Some(port) = &http.port else {
            bad(
                "",
                "`http_get` needs a `url`, or a `port`",
                "for example \"url\": \"http://127.0.0.1:${port.http}/health\"",
            );
            return None;
        };
        let path = http.path.clone().unwrap_or_else(|| Template::literal("/"));
        return Some(Check::Http { address: address(http.host.as_ref(), port), path, answer });
    };
    if has_parts {
        bad("url", "`http_get` has a `url` and its parts too", "keep `url`, or `host`, `port` and `path`");
        return None;
    }
    Check::of_url(url, answer).map_err(|(message, help)| bad("url", message, help)).ok()
}

/// A URL in which variables and secrets that hold parts of its structure are plain text: only text can be split.
fn takeable_apart(url: &Template) -> Template {
    let is_part = |text: &str| text.contains(['/', ':', '@']);
    Template::from_pieces(url.pieces().iter().map(|piece| match piece {
        Piece::From(_, value) if value.get().is_some_and(is_part) => {
            Piece::Text(value.get().unwrap_or_default().to_owned())
        }
        _ => piece.clone(),
    }))
}

/// The template without `prefix`; `None` if it does not start with it.
fn strip_prefix(template: &Template, prefix: &str) -> Option<Template> {
    // The written form doubles `$`, so it is safe to cut off a prefix without a `$`.
    template.written().strip_prefix(prefix).and_then(|rest| Template::parse(rest).ok())
}

/// Splits at the first `at` that is not inside a hole.
fn split(template: &Template, at: &str) -> Option<(Template, Template)> {
    let text = template.written();
    let (before, after) = text.split_once(at)?;
    Some((Template::parse(before).ok()?, Template::parse(after).ok()?))
}
