//! Text that is complete except for its holes: values that only one instance knows (its run folder, name, replica
//! number and own ports) and, until the whole stack is known, ports of other services.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::Identifier;
use crate::origin::{Origin, Value};

/// `format` of strings that may contain placeholders of one instance (`${run}`, `${instance}`, …).
pub const TEMPLATE: &str = "template";

/// Text with holes for the values of one instance. As a string it is written with those holes as placeholders and
/// every other `$` doubled, so that a value inserted earlier is never read as a placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Template(Vec<Piece>);

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// `${run}`: the run folder of the instance.
    Run,
    /// `${instance}`: the name of the instance, `web-0@7`.
    Instance,
    /// `${replica}`: the number of the replica, from 0.
    Replica,
    /// `${port.NAME}` of an auto port.
    Port(Identifier),
    /// `${env.NAME}` or `${secret.NAME}`: text from a variable or a secret.
    From(Origin, Value),
    /// `${port.SERVICE.NAME}` of an auto port, until the topology fills it: the name of a service, or of a manifest
    /// that stands for several.
    PortOf(String, Identifier),
}

/// Fills the holes of a template.
pub trait Fill {
    /// The run folder of the instance.
    fn run(&self) -> String;
    /// The name of the instance.
    fn instance(&self) -> String;
    /// The number of the replica, from 0.
    fn replica(&self) -> u32;
    /// The number of an auto port; `None` if the instance has no such port.
    fn port(&self, name: &Identifier) -> Option<u16>;
    /// The current value of a variable or a secret, for a text of which only the name was kept.
    fn value(&self, _origin: &Origin) -> Option<String> {
        None
    }
}

impl Template {
    /// Plain text, whatever it contains.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self(Vec::new()) } else { Self(vec![Piece::Text(text)]) }
    }

    /// A template of these pieces; adjacent texts are joined.
    pub fn from_pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut all: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (all.last_mut(), piece) {
                (_, Piece::Text(text)) if text.is_empty() => {}
                (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
                (_, piece) => all.push(piece),
            }
        }
        Self(all)
    }

    /// The pieces of the template.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, if there are no holes.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The same with the known values of variables and secrets as plain text, for code that must parse it.
    #[must_use]
    pub fn inlined(&self) -> Self {
        Self::from_pieces(self.0.iter().map(|piece| match piece {
            Piece::From(_, value) => value.get().map_or(piece.clone(), |text| Piece::Text(text.to_owned())),
            _ => piece.clone(),
        }))
    }

    /// The text, if variables and secrets are the only holes and their values are known.
    pub fn known_text(&self) -> Option<String> {
        let inlined = self.inlined();
        inlined.as_literal().map(str::to_owned)
    }

    /// The variables and secrets in it, with their values if known.
    pub fn origins(&self) -> impl Iterator<Item = (&Origin, Option<&str>)> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::From(origin, value) => Some((origin, value.get())),
            _ => None,
        })
    }

    /// The lossless written form, with the values in it: used between a tree and a manifest, and never shown to
    /// people.
    pub fn written(&self) -> String {
        let parts = self.0.iter().map(|piece| match piece {
            Piece::From(origin, value) => {
                let digits = value.get().map(|text| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>());
                digits.map_or_else(|| format!("${{{origin}}}"), |digits| format!("${{{origin}={digits}}}"))
            }
            _ => Self(vec![piece.clone()]).to_string(),
        });
        parts.collect()
    }

    /// Whether it contains `${run}`.
    pub fn mentions_run(&self) -> bool {
        self.0.contains(&Piece::Run)
    }

    /// Whether it has neither text nor holes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces the ports of other services with numbers. A hole without a number stays.
    pub fn fill_ports(&mut self, number: &mut impl FnMut(&str, &Identifier) -> Option<u16>) {
        if !self.0.iter().any(|piece| matches!(piece, Piece::PortOf(..))) {
            return;
        }
        let filled = std::mem::take(&mut self.0).into_iter().map(|piece| match &piece {
            Piece::PortOf(service, port) => number(service, port).map_or(piece, |port| Piece::Text(port.to_string())),
            _ => piece,
        });
        *self = Self::from_pieces(filled);
    }

    /// The same template with `text` in front.
    #[must_use]
    pub fn prefixed(&self, text: &str) -> Self {
        Self::from_pieces(std::iter::once(Piece::Text(text.to_owned())).chain(self.0.iter().cloned()))
    }

    /// The text with its holes filled.
    pub fn fill(&self, with: &impl Fill) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Run => text.push_str(&with.run()),
                Piece::Instance => text.push_str(&with.instance()),
                Piece::Replica => text.push_str(&with.replica().to_string()),
                Piece::Port(name) => text.push_str(&with.port(name).unwrap_or(0).to_string()),
                Piece::From(origin, value) => {
                    let now = || with.value(origin).unwrap_or_default();
                    text.push_str(&value.get().map_or_else(now, str::to_owned));
                }
                // A topology does not contain any of these.
                Piece::PortOf(..) => text.push('0'),
            }
        }
        text
    }

    /// Parses the written form.
    ///
    /// # Errors
    /// Names what is not a placeholder of an instance.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            let after = &rest[at + 1..];
            if let Some(next) = after.strip_prefix('$') {
                pieces.push(Piece::Text("$".into()));
                rest = next;
                continue;
            }
            let Some((name, next)) = after.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
                return Err(format!("`{text}` has a `$` that is neither doubled nor a placeholder"));
            };
            pieces.push(
                Piece::of_name(name).ok_or_else(|| format!("`${{{name}}}` is not a placeholder of an instance"))?,
            );
            rest = next;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self::from_pieces(pieces))
    }
}

impl Piece {
    /// The hole for the name of a placeholder.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "run" => Some(Self::Run),
            "instance" => Some(Self::Instance),
            "replica" => Some(Self::Replica),
            _ if name.starts_with("env.") || name.starts_with("secret.") => {
                let (origin, value) = match name.split_once('=') {
                    Some((origin, digits)) => (origin, Value::known(&text_of(digits)?)),
                    None => (name, Value::default()),
                };
                Some(Self::From(origin.parse().ok()?, value))
            }
            _ => {
                let port = name.strip_prefix("port.")?;
                match port.split_once('.') {
                    Some((service, port)) => {
                        Identifier::new(port).ok().map(|port| Self::PortOf(service.to_owned(), port))
                    }
                    None => Identifier::new(port).ok().map(Self::Port),
                }
            }
        }
    }
}

/// The text encoded as hexadecimal digits.
fn text_of(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('$', "$$"))?,
                Piece::Run => f.write_str("${run}")?,
                Piece::Instance => f.write_str("${instance}")?,
                Piece::Replica => f.write_str("${replica}")?,
                Piece::Port(name) => write!(f, "${{port.{name}}}")?,
                Piece::From(origin, _) => write!(f, "${{{origin}}}")?,
                Piece::PortOf(service, name) => write!(f, "${{port.{service}.{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": TEMPLATE})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            any::<String>().prop_map(Piece::Text),
            Just(Piece::Run),
            Just(Piece::Instance),
            Just(Piece::Replica),
            "[A-Za-z_][A-Za-z0-9_-]{0,8}".prop_map(|name| Piece::Port(Identifier::new(&name).unwrap())),
            ("[A-Za-z_]{1,8}", any::<String>())
                .prop_map(|(name, text)| { Piece::From(Origin::Variable(name), Value::known(&text)) }),
            "[a-z0-9._-]{1,8}".prop_map(|name| Piece::From(Origin::Secret(name), Value::default())),
            "[a-z][a-z0-9-]{0,8}".prop_map(|name| Piece::PortOf(name, Identifier::new("http").unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn the_written_form_reads_back(pieces in prop::collection::vec(piece(), 0..6)) {
            let template = Template::from_pieces(pieces);
            prop_assert_eq!(Template::parse(&template.to_string()), Ok(template.clone()));
            let again = Template::parse(&template.written()).unwrap();
            prop_assert_eq!(again.inlined(), template.inlined());
            prop_assert_eq!(again, template);
        }
    }
}
