//! Probes of the file. Pure.
//!
//! Checks that process-compose does not have (a TCP connection, a unix socket, the text of a body) run as a command,
//! `core probe`.

use std::time::Duration;

use core_manifest::Template;
use core_manifest::spec::{Check, HttpAnswer, Probe};
use core_manifest::template::Piece;
use core_manifest::tree::Node;
use serde_json::{Map, Value, json};

use super::slot::Slot;
use super::text::Text;
use super::variables::Variables;

/// The inputs for a probe.
pub(super) struct Asker<'a> {
    /// Path of the `core` program.
    pub(super) core: &'a str,
    pub(super) variables: &'a Variables,
    pub(super) slot: &'a Slot<'a>,
    /// The probe in the manifest.
    pub(super) written: Option<&'a Node>,
}

/// Whole seconds, rounded up.
pub(super) fn whole(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Asker<'_> {
    /// The probe in the form of process-compose; `None` if there is no equivalent. For a readiness probe, `patience` is
    /// how long a start may take.
    pub(super) fn probe(&self, probe: &Probe, patience: Option<Duration>) -> Option<Value> {
        let mut all = Map::new();
        let (key, check) = self.check(probe)?;
        all.insert(key.into(), check);
        let mut delay = whole(probe.initial_delay);
        let period = whole(probe.period).max(1);
        let mut failures = u64::from(probe.failure_threshold);
        if let Some(patience) = patience {
            // In process-compose, failures stop the process even while it is starting.
            failures = failures.max(whole(patience).div_ceil(period) + 1);
            // It does not probe more often before the first success: a probe at the very start would fail, and the next
            // would come only after a whole period.
            delay = delay.max(u64::from(period > 1));
        }
        all.insert("initial_delay_seconds".into(), json!(delay));
        all.insert("period_seconds".into(), json!(period));
        all.insert("timeout_seconds".into(), json!(whole(probe.timeout).max(1)));
        all.insert("success_threshold".into(), json!(probe.success_threshold));
        all.insert("failure_threshold".into(), json!(failures));
        Some(Value::Object(all))
    }

    fn check(&self, probe: &Probe) -> Option<(&'static str, Value)> {
        let text = |template: &Template| self.text(template);
        Some(match &probe.check {
            Check::Http { address, path, answer } => match (self.url(), self.native(address, path, answer)) {
                (None, Some(native)) => ("http_get", native),
                (url, _) => {
                    let url = url.unwrap_or_else(|| Text::literal("http://").then(text(address)).then(text(path)));
                    ("exec", self.core_probe_http(&url, answer, probe.timeout))
                }
            },
            Check::HttpUnix { socket, path, answer } => {
                let url = Text::literal("http+unix://").then(text(socket)).then_literal(":").then(text(path));
                ("exec", self.core_probe_http(&url, answer, probe.timeout))
            }
            // There it starts with its configuration.
            Check::Loaded { socket, path, says, .. } => {
                let url = Text::literal("http+unix://").then(text(socket)).then_literal(":").then(text(path));
                let answer = HttpAnswer::saying(says);
                ("exec", self.core_probe_http(&url, &answer, probe.timeout))
            }
            Check::Tcp { address } => {
                let line = self.core_probe("tcp", &text(address), probe.timeout);
                ("exec", json!({"command": line.template()}))
            }
            Check::Exec { command, working_dir } => {
                let mut exec = json!({"command": text(command).template()});
                if let Some(folder) = working_dir {
                    exec["working_dir"] = text(folder).plain();
                }
                ("exec", exec)
            }
            Check::LogLine { .. } | Check::Notify => return None,
        })
    }

    /// The URL as written, if part of it came from outside: it must not be split.
    fn url(&self) -> Option<Text> {
        let url = self.written?.get("http_get")?.get("url")?.made_of.as_ref()?;
        Some(self.text(url)).filter(Text::has_variables)
    }

    /// A request that process-compose can make itself.
    fn native(&self, address: &Template, path: &Template, answer: &HttpAnswer) -> Option<Value> {
        let (host, port) = split_last(address, ':')?;
        // It follows redirects, accepts 200 when the status of an error is expected, and does not check the body.
        let can = answer.status < 300 && answer.body_contains.is_none() && !host.fill(self.slot).contains(':');
        if !can {
            return None;
        }
        let mut native = json!({
            "host": self.text(&host).template(),
            "port": self.text(&port).template(),
            "path": self.text(path).template(),
            "status_code": answer.status,
        });
        if !answer.headers.is_empty() {
            let headers = answer.headers.iter().map(|(name, value)| (name.clone(), self.text(value).plain()));
            native["headers"] = Value::Object(headers.collect());
        }
        Some(native)
    }

    fn core_probe_http(&self, url: &Text, answer: &HttpAnswer, timeout: Duration) -> Value {
        let mut line = self.core_probe("http", url, timeout);
        if answer.status != 200 {
            line = line.then_literal(&format!(" --status {}", answer.status));
        }
        if let Some(wanted) = &answer.body_contains {
            let written = self.written.and_then(|probe| probe.get("http_get")?.get("body_contains"));
            let wanted = written.map_or_else(
                || Text::read(self.variables, wanted),
                |node| Text::of_node(self.variables, node, self.slot),
            );
            line = line.then_literal(" --contains ").then(wanted.word());
        }
        for (name, value) in &answer.headers {
            let header = Text::literal(format!("{name}: ")).then(self.text(value));
            line = line.then_literal(" --header ").then(header.word());
        }
        json!({"command": line.template()})
    }

    fn core_probe(&self, what: &str, target: &Text, timeout: Duration) -> Text {
        let start = Text::literal("exec ").then(Text::literal(self.core).word());
        let start = start.then_literal(&format!(" probe {what} --timeout {} ", timeout.as_secs_f64()));
        start.then(target.word())
    }

    fn text(&self, template: &Template) -> Text {
        Text::of(self.variables, template, self.slot)
    }
}

/// Splits a text at the last `at` that was written literally; the value of a variable is not split.
fn split_last(template: &Template, at: char) -> Option<(Template, Template)> {
    let pieces = template.pieces();
    for (number, piece) in pieces.iter().enumerate().rev() {
        match piece {
            Piece::Text(text) => {
                let Some((before, after)) = text.rsplit_once(at) else { continue };
                let text = |text: &str| Piece::Text(text.to_owned());
                let before = pieces[..number].iter().cloned().chain([text(before)]);
                let after = [text(after)].into_iter().chain(pieces[number + 1..].iter().cloned());
                return Some((Template::from_pieces(before), Template::from_pieces(after)));
            }
            Piece::From(_, value) if value.get().is_some_and(|value| value.contains(at)) => return None,
            _ => {}
        }
    }
    None
}
