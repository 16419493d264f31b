//! `${…}` (and `$<…>`, which means the same): one pass over every string of a tree.
//!
//! What is inserted is not scanned again. An unknown or unset name is an error with its place, the text, and the
//! nearest known name; it never becomes an empty string.

mod fault;
mod place;

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Span};
use crate::name::Identifier;
use crate::origin::{Origin, Value};
use crate::schema::Candidates;
use crate::template::{Piece, Template};
use crate::tree::{self, Node};
use fault::{Fault, fault, guess, unknown};
use place::place_of;
pub use place::place_of_hole;

/// The values that placeholders may refer to.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `${root}`, absolute.
    pub root: String,
    /// `${edge}`, absolute.
    pub edge: String,
    /// `${env.VAR}`.
    pub env: BTreeMap<String, String>,
    /// Those variables in `env` that come from the profile, with the origins of their parts.
    pub profile_env: BTreeMap<String, Template>,
    /// `${secret.NAME}`.
    pub secrets: BTreeMap<String, String>,
    /// `${dep.NAME}`, absolute paths; `None` while the binaries themselves are being read.
    pub deps: Option<BTreeMap<String, String>>,
    /// `${release}`, for a service that has one.
    pub release: Option<String>,
    /// The service's own ports: `${port.NAME}`.
    pub ports: BTreeMap<Identifier, OwnPort>,
    /// Ports of all services, `${port.SERVICE.NAME}`: their numbers; `None` for an auto port, which stays a hole.
    pub others: BTreeMap<String, BTreeMap<Identifier, Option<u16>>>,
    /// Whether ports and descriptors are already known.
    pub ports_known: bool,
}

/// A port of the service itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnPort {
    /// The port number; `None` for an auto port, which differs per instance.
    pub number: Option<u16>,
    /// The descriptor number of a held port.
    pub fd: Option<u32>,
}

impl Scope {
    /// Resolves every string of `node` in place. `at` is what the schema allows there.
    pub fn resolve(&self, node: &mut Node, at: &Candidates<'_>, out: &mut Vec<Diagnostic>) {
        match &mut node.value {
            tree::Value::Object(entries) => {
                for (key, child) in entries {
                    self.resolve(child, &at.key(&key.name), out);
                }
            }
            tree::Value::Array(elements) => {
                for child in elements {
                    self.resolve(child, &at.element(), out);
                }
            }
            tree::Value::String(text) => {
                let Some(template) = self.template(text, &node.span, out) else { return };
                let had_placeholder = template.as_literal() != Some(text.as_str());
                if template.origins().next().is_some() {
                    node.made_of = Some(template.clone());
                }
                if at.is_template() {
                    *text = template.written();
                    return;
                }
                // core itself needs these as plain values: numbers, words, names.
                let inlined = template.inlined();
                let Some(literal) = inlined.as_literal() else {
                    let hole = inlined.pieces().iter().find(|piece| !matches!(piece, Piece::Text(_))).cloned();
                    let known = match hole {
                        Some(Piece::PortOf(..)) => "is known only when all manifests have been read",
                        _ => "is known only to a running instance",
                    };
                    out.push(
                        Diagnostic::new(
                            "placeholder-here",
                            format!("`{}` {known} and cannot stand here", Template::from_pieces(hole)),
                        )
                        .at(place_of(text, "${", &node.span))
                        .help("it can stand in command, args, env, working_dir, probes and shutdown.command"),
                    );
                    return;
                };
                if !at.takes_string() && had_placeholder {
                    node.value = as_number_or_flag(literal);
                } else {
                    literal.clone_into(text);
                }
            }
            _ => {}
        }
    }

    /// Resolves one text. Returns `None` if something is wrong with it; `out` gets the error.
    pub fn template(&self, text: &str, span: &Span, out: &mut Vec<Diagnostic>) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut good = true;
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            let after = &rest[at + 1..];
            let close = match after.chars().next() {
                Some('$') => {
                    pieces.push(Piece::Text("$".into()));
                    rest = &after[1..];
                    continue;
                }
                Some('{') => '}',
                Some('<') => '>',
                _ => {
                    pieces.push(Piece::Text("$".into()));
                    rest = after;
                    continue;
                }
            };
            let Some(end) = after.find(close) else {
                out.push(
                    Diagnostic::new("placeholder", format!("`{}` is not closed by `{close}`", &rest[at..]))
                        .at(place_of(text, &rest[at..], span))
                        .help("write `$$` for a literal `$`"),
                );
                return None;
            };
            let written = &rest[at..=at + 1 + end];
            match self.value(&after[1..end]) {
                Ok(Piece::From(Origin::Variable(name), _)) if self.profile_env.contains_key(&name) => {
                    pieces.extend(self.profile_env[&name].pieces().iter().cloned());
                }
                Ok(piece) => pieces.push(piece),
                Err((code, message, help)) => {
                    good = false;
                    out.push(
                        Diagnostic::new(code, format!("`{written}`: {message}"))
                            .at(place_of(text, written, span))
                            .help_opt(help),
                    );
                }
            }
            rest = &after[end + 1..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        good.then(|| Template::from_pieces(pieces))
    }

    fn value(&self, name: &str) -> Result<Piece, Fault> {
        let text = |text: &str| Ok(Piece::Text(text.to_owned()));
        match name {
            "root" => return text(&self.root),
            "data" => return text(&format!("{}/.data", self.root)),
            "edge" => return text(&self.edge),
            "run" | "replica" | "instance" => {
                return Piece::of_name(name).ok_or_else(|| unknown(name));
            }
            "release" => {
                return self.release.as_deref().map_or_else(
                    || {
                        fault(
                            "unknown-placeholder",
                            "this service has no release",
                            Some("only a service with a built app has one".into()),
                        )
                    },
                    text,
                );
            }
            _ => {}
        }
        let Some((space, rest)) = name.split_once('.') else { return Err(unknown(name)) };
        match space {
            "env" => self.env(rest),
            "secret" => match self.secrets.get(rest) {
                Some(value) => Ok(Piece::From(Origin::Secret(rest.to_owned()), Value::known(value))),
                None => fault(
                    "unknown-secret",
                    format!("there is no file `.secrets/{rest}`"),
                    guess(rest, self.secrets.keys().map(String::as_str)).or_else(|| {
                        Some(format!("write the secret into `.secrets/{rest}`, readable by you alone (mode 0600)"))
                    }),
                ),
            },
            "dep" => match &self.deps {
                None => fault("placeholder-here", "a binary's own source cannot refer to binaries", None),
                Some(deps) => match deps.get(rest) {
                    Some(path) => text(path),
                    None => fault(
                        "unknown-binary",
                        format!("this service has no binary `{rest}`"),
                        guess(rest, deps.keys().map(String::as_str)).or_else(|| Some("add it to `binaries`".into())),
                    ),
                },
            },
            "port" => self.port(rest),
            "fd" => match self.ports.iter().find(|(have, _)| have.as_str() == rest) {
                Some((_, OwnPort { fd: Some(fd), .. })) => text(&fd.to_string()),
                Some(_) => fault(
                    "unknown-port",
                    format!("port `{rest}` is not held"),
                    Some("add `\"hold\": true` to the port".into()),
                ),
                None => self.no_port(rest),
            },
            _ => Err(unknown(name)),
        }
    }

    fn env(&self, rest: &str) -> Result<Piece, Fault> {
        let (name, default) = match rest.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (rest, None),
        };
        match (self.env.get(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => Ok(Piece::From(Origin::Variable(name.to_owned()), Value::known(value))),
            (None, Some(default)) => Ok(Piece::Text(default.to_owned())),
            (None, None) => fault(
                "unset-variable",
                format!("the environment variable `{name}` is not set"),
                guess(name, self.env.keys().map(String::as_str))
                    .or_else(|| Some(format!("set it in `.env`, or give a default: `${{env.{name}:-…}}`"))),
            ),
        }
    }

    fn port(&self, rest: &str) -> Result<Piece, Fault> {
        if !self.ports_known {
            return fault("placeholder-here", "ports are not known here", None);
        }
        let Some((service, port)) = rest.split_once('.') else {
            return match self.ports.iter().find(|(have, _)| have.as_str() == rest) {
                Some((_, OwnPort { number: Some(number), .. })) => Ok(Piece::Text(number.to_string())),
                Some((name, _)) => Ok(Piece::Port(name.clone())),
                None => self.no_port(rest),
            };
        };
        let Some(ports) = self.others.get(service) else {
            return fault(
                "unknown-service",
                format!("there is no service `{service}`"),
                guess(service, self.others.keys().map(String::as_str)),
            );
        };
        match ports.iter().find(|(have, _)| have.as_str() == port).map(|(_, port)| port) {
            Some(Some(number)) => Ok(Piece::Text(number.to_string())),
            Some(None) => Identifier::new(port)
                .map_or_else(|_| Err(unknown(rest)), |port| Ok(Piece::PortOf(service.to_owned(), port))),
            None => fault(
                "unknown-port",
                format!("service `{service}` has no port `{port}`"),
                guess(port, ports.keys().map(Identifier::as_str)),
            ),
        }
    }

    fn no_port(&self, name: &str) -> Result<Piece, Fault> {
        fault(
            "unknown-port",
            format!("this service has no port `{name}`"),
            guess(name, self.ports.keys().map(Identifier::as_str)).or_else(|| Some("add it to `ports`".into())),
        )
    }
}

fn as_number_or_flag(text: &str) -> tree::Value {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Number(number)) => tree::Value::Number(number),
        Ok(serde_json::Value::Bool(flag)) => tree::Value::Bool(flag),
        _ => tree::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceFile;

    fn scope() -> Scope {
        let id = |name: &str| Identifier::new(name).unwrap();
        Scope {
            root: "/srv/app".into(),
            edge: "/run/edge".into(),
            env: [("HOME", "/root"), ("DOLLAR", "${run}$$"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into())).into(),
            profile_env: BTreeMap::new(),
            secrets: [("token".to_owned(), "s3cret".to_owned())].into(),
            deps: Some([("node".to_owned(), "/dep/node".to_owned())].into()),
            release: None,
            ports: [
                (id("http"), OwnPort { number: None, fd: None }),
                (id("admin"), OwnPort { number: Some(9000), fd: Some(3) }),
            ]
            .into(),
            others: [("db".to_owned(), [(id("tcp"), Some(20001)), (id("auto"), None)].into())].into(),
            ports_known: true,
        }
    }

    fn resolve(text: &str) -> Result<String, String> {
        let file = Arc::new(SourceFile { path: "f".into(), text: format!("\"{text}\"") });
        let span = Span { start: 0, end: file.text.len(), file };
        let mut out = Vec::new();
        scope().template(text, &span, &mut out).map(|template| template.inlined().to_string()).ok_or_else(|| {
            out.iter()
                .map(|d| format!("{}@{}: {}", d.code, d.at.as_ref().unwrap().start, d.message))
                .collect::<Vec<_>>()
                .join("; ")
        })
    }

    #[test]
    fn both_spellings_resolve_in_one_pass() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${root}/x", "/srv/app/x"),
            ("$<data>/nats", "/srv/app/.data/nats"),
            ("${env.HOME}", "/root"),
            ("${env.NOPE:-fallback}", "fallback"),
            ("${env.EMPTY:-fallback}", "fallback"),
            ("${env.EMPTY}", ""),
            ("${env.NOPE:-}", ""),
            ("${dep.node}", "/dep/node"),
            ("${port.admin}", "9000"),
            ("${port.http}", "${port.http}"),
            ("${port.db.tcp}", "20001"),
            ("$<port.db.auto>", "${port.db.auto}"),
            ("${fd.admin}", "3"),
            ("${run}/a ${instance} ${replica}", "${run}/a ${instance} ${replica}"),
            ("cost $$5 $x $", "cost $$5 $$x $$"),
            ("$${run}", "$${run}"),
            ("${env.DOLLAR}", "$${run}$$$$"),
            ("${secret.token}", "s3cret"),
        ] {
            assert_eq!(resolve(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_value_keeps_its_origin() {
        let file = Arc::new(SourceFile { path: "f".into(), text: String::new() });
        let span = Span { start: 0, end: 0, file };
        let text = "a ${env.HOME} $<secret.token> ${env.NOPE:-x} ${root}";
        let template = scope().template(text, &span, &mut Vec::new()).unwrap();
        assert_eq!(template.to_string(), "a ${env.HOME} ${secret.token} x /srv/app");
        assert!(!format!("{template:?}{template}").contains("s3cret"));
        let again = Template::parse(&template.written()).unwrap();
        assert_eq!(again.known_text().as_deref(), Some("a /root s3cret x /srv/app"));
    }

    #[test]
    fn nothing_unknown_becomes_empty() {
        for (text, code) in [
            ("a ${rot}", "unknown-placeholder@3"),
            ("${env.NOPE}", "unset-variable@1"),
            ("${secret.nope}", "unknown-secret@1"),
            ("${dep.nod}", "unknown-binary@1"),
            ("${port.htp}", "unknown-port@1"),
            ("${port.db.nope}", "unknown-port@1"),
            ("${port.dv.tcp}", "unknown-service@1"),
            ("${fd.http}", "unknown-port@1"),
            ("${release}", "unknown-placeholder@1"),
            ("x ${run", "placeholder@3"),
            ("$<run}", "placeholder@1"),
            ("${}", "unknown-placeholder@1"),
        ] {
            let error = resolve(text).unwrap_err();
            assert!(error.starts_with(code), "{text}: {error}");
        }
    }
}
