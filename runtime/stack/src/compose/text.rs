//! Texts for process-compose. It expands `${VAR}` in the whole file before it parses the YAML, reads `$$` as a plain
//! `$`, and then reads some fields as Go templates, in which `{{` starts an action.

use core_manifest::Template;
use core_manifest::tree::Node;
use serde_json::Value;

use super::slot::Slot;
use super::variables::{Piece, Variables};
use super::yaml;
use crate::shell::quoted;

/// Text with variables instead of the values that came from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(Vec<Piece>);

impl Text {
    /// A text of a slot.
    pub(super) fn of(variables: &Variables, template: &Template, slot: &Slot<'_>) -> Self {
        Self(variables.text(template, slot))
    }

    /// A text of a manifest.
    pub(super) fn of_node(variables: &Variables, node: &Node, slot: &Slot<'_>) -> Self {
        match &node.made_of {
            Some(template) => Self::of(variables, template, slot),
            None => Self::read(variables, node.text().unwrap_or_default()),
        }
    }

    /// A text of unknown origin.
    pub(super) fn read(variables: &Variables, text: &str) -> Self {
        let mut pieces = Vec::new();
        variables.literal(text, &mut pieces);
        Self(pieces)
    }

    /// Plain text, whatever it contains.
    pub(super) fn literal(text: impl Into<String>) -> Self {
        Self(vec![Piece::Literal(text.into())])
    }

    /// This text followed by another.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// This text followed by plain text.
    pub(super) fn then_literal(self, text: &str) -> Self {
        self.then(Self::literal(text))
    }

    /// Whether it contains a variable.
    pub(super) fn has_variables(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }

    /// A variable that cannot be expanded safely in the file: its value has several lines or starts a template action,
    /// or the text around it can only be written in quotes.
    pub(super) fn unfit<'a>(&'a self, variables: &Variables) -> Option<&'a str> {
        let odd = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
        let last = matches!(self.0.last(), Some(Piece::Literal(text)) if text.ends_with(' '));
        let in_quotes = last || self.0.iter().any(|piece| matches!(piece, Piece::Literal(text) if odd(text)));
        self.0.iter().find_map(|piece| {
            let Piece::Variable(name) = piece else { return None };
            let value = variables.value(name);
            (in_quotes || odd(value) || value.contains('\n') || value.contains("{{")).then_some(name.as_str())
        })
    }

    /// The text as a word of a shell command line.
    pub(super) fn word(&self) -> Self {
        if let [Piece::Literal(text)] = self.0.as_slice() {
            return Self::literal(quoted(text));
        }
        let inside = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => Piece::Literal(text.replace('\'', r"'\''")),
            variable @ Piece::Variable(_) => variable.clone(),
        });
        Self::literal("'").then(Self(inside.collect())).then_literal("'")
    }

    /// The text as a word of a shell command line in which the shell expands the variables, whatever they contain.
    pub(super) fn word_by_shell(&self) -> String {
        let words = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => quoted(text),
            Piece::Variable(name) => format!("\"${{{name}}}\""),
        });
        words.collect()
    }

    /// For a field that is taken literally.
    pub(super) fn plain(&self) -> Value {
        self.written(|text| text.replace('$', "$$"))
    }

    /// For a field that is a Go template.
    pub(super) fn template(&self) -> Value {
        self.written(|text| text.replace('$', "$$").replace("{{", r#"{{"{{"}}"#))
    }

    fn written(&self, literal: impl Fn(&str) -> String) -> Value {
        let parts = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => literal(text),
            Piece::Variable(name) => format!("${{{name}}}"),
        });
        let text: String = parts.collect();
        Value::String(if self.has_variables() { yaml::as_block(&text) } else { text })
    }
}
