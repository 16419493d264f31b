//! JSON with places: a tree in which every value knows the file and bytes where it was written.
//!
//! Merging, checking and placeholders all work on this tree, so that an error in any value, at any stage, can still
//! point at the text that was written.

use std::sync::Arc;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::template::Template;

/// One JSON value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value itself.
    pub value: Value,
    /// Where the value was written.
    pub span: Span,
    /// The pieces of a text, if one of them came from a variable or a secret.
    pub made_of: Option<Template>,
}

/// A JSON value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object, in the order it was written.
    Object(Vec<(Key, Node)>),
}

/// A key of an object with its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key, unescaped.
    pub name: String,
    /// Where the key was written.
    pub span: Span,
}

impl Node {
    /// A node as it was written.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, made_of: None }
    }

    /// An empty object that has no better place than its file.
    pub fn empty_object(span: Span) -> Self {
        Self::new(Value::Object(Vec::new()), span)
    }

    /// The entries of an object; empty for any other value.
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The value at `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(have, _)| have.name == key).map(|(_, node)| node)
    }

    /// The value at `key` of an object, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Object(entries) => entries.iter_mut().find(|(have, _)| have.name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The elements of an array; empty for any other value.
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            Value::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a string; `None` for any other value.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The place of the value at `path` (keys, and indices as decimal text), or of the nearest part that exists.
    pub fn span_at(&self, path: &[&str]) -> Span {
        let mut node = self;
        for step in path {
            let next = match &node.value {
                Value::Object(_) => node.get(step),
                Value::Array(elements) => step.parse::<usize>().ok().and_then(|index| elements.get(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.span.clone()
    }

    /// The place of the last key in `path`, or of the nearest part that exists.
    pub fn key_span_at(&self, path: &[&str]) -> Span {
        let key = path.split_last().and_then(|(last, above)| {
            let mut node = self;
            for step in above {
                node = node.get(step)?;
            }
            match &node.value {
                Value::Object(entries) => entries.iter().map(|(key, _)| key).find(|key| key.name == *last),
                _ => None,
            }
        });
        key.map_or_else(|| self.span_at(path), |key| key.span.clone())
    }

    /// The same value without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => number.clone().into(),
            Value::String(text) => text.clone().into(),
            Value::Array(elements) => elements.iter().map(Self::to_json).collect(),
            Value::Object(entries) => entries
                .iter()
                .map(|(key, node)| (key.name.clone(), node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The kind of value, as text.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

/// Parses strict JSON. Returns `None` on an error, which goes to `out`.
pub fn parse(file: &Arc<SourceFile>, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    // A byte order mark, which some editors write. JSON does not allow it, and people cannot see it.
    if file.text.starts_with('\u{feff}') {
        out.push(
            Diagnostic::new("syntax", "the file starts with a byte order mark")
                .at(Span { file: file.clone(), start: 0, end: 3 })
                .help("save it as UTF-8 without BOM"),
        );
        return None;
    }
    match parse_to_ast(&file.text, &CollectOptions::default(), &strict) {
        Ok(parsed) => match parsed.value {
            Some(value) => Some(convert(&value, file, out)),
            None => {
                out.push(
                    Diagnostic::new("syntax", "the file is empty")
                        .at(Span::file(file.clone()))
                        .help("write a JSON object, `{ … }`"),
                );
                None
            }
        },
        Err(error) => {
            let range = error.range();
            let message = error.kind().to_string();
            out.push(Diagnostic::new("syntax", format!("not valid JSON: {}", lower_first(&message))).at(Span {
                file: file.clone(),
                start: range.start,
                end: range.end,
            }));
            None
        }
    }
}

fn convert(value: &ast::Value<'_>, file: &Arc<SourceFile>, out: &mut Vec<Diagnostic>) -> Node {
    let span = span_of(file, value);
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NumberLit(literal) => match serde_json::from_str(literal.value) {
            Ok(number) => Value::Number(number),
            Err(_) => {
                out.push(
                    Diagnostic::new("syntax", format!("`{}` is not a JSON number", literal.value)).at(span.clone()),
                );
                Value::Null
            }
        },
        ast::Value::StringLit(literal) => Value::String(literal.value.to_string()),
        ast::Value::Array(array) => {
            Value::Array(array.elements.iter().map(|element| convert(element, file, out)).collect())
        }
        ast::Value::Object(object) => {
            let mut entries: Vec<(Key, Node)> = Vec::with_capacity(object.properties.len());
            for property in &object.properties {
                let key = Key { name: property.name.as_str().to_owned(), span: span_of(file, &property.name) };
                let node = convert(&property.value, file, out);
                if let Some((first, _)) = entries.iter().find(|(have, _)| have.name == key.name) {
                    out.push(
                        Diagnostic::new("duplicate-key", format!("`{}` is written twice in one object", key.name))
                            .at(key.span.clone())
                            .also(Some(first.span.clone()), "first here")
                            .help("keep one of them"),
                    );
                    continue;
                }
                entries.push((key, node));
            }
            Value::Object(entries)
        }
    };
    Node::new(value, span)
}

fn span_of(file: &Arc<SourceFile>, ranged: &impl Ranged) -> Span {
    let range = ranged.range();
    Span { file: file.clone(), start: range.start, end: range.end }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Applies a JSON Merge Patch (RFC 7396) to `target`: objects are merged key by key, `null` removes, anything else
/// replaces. Each value keeps the place where it was written, in either file.
pub fn merge(target: &mut Node, patch: &Node) {
    let Value::Object(patch_entries) = &patch.value else {
        *target = patch.clone();
        return;
    };
    if !matches!(target.value, Value::Object(_)) {
        *target = Node::empty_object(patch.span.clone());
    }
    let Value::Object(entries) = &mut target.value else { return };
    for (key, value) in patch_entries {
        let position = entries.iter().position(|(have, _)| have.name == key.name);
        match (&value.value, position) {
            (Value::Null, Some(at)) => {
                entries.remove(at);
            }
            (Value::Null, None) => {}
            (_, Some(at)) => merge(&mut entries[at].1, value),
            (_, None) => {
                let mut fresh = Node::empty_object(value.span.clone());
                merge(&mut fresh, value);
                entries.push((key.clone(), fresh));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
        let file = Arc::new(SourceFile { path: "x.json".into(), text: text.into() });
        let mut out = Vec::new();
        let node = parse(&file, &mut out);
        (node, out)
    }

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merge_patch_follows_the_rfc() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut node = read(target).0.unwrap();
            merge(&mut node, &read(patch).0.unwrap());
            assert_eq!(
                node.to_json(),
                serde_json::from_str::<serde_json::Value>(result).unwrap(),
                "{target} + {patch}"
            );
        }
    }

    #[test]
    fn a_merged_value_keeps_its_own_place() {
        let mut node = read(r#"{"a": {"b": 1}}"#).0.unwrap();
        let file = Arc::new(SourceFile { path: "profile.json".into(), text: "{\n  \"a\": {\"c\": 2}}".into() });
        let patch = parse(&file, &mut Vec::new()).unwrap();
        merge(&mut node, &patch);
        assert_eq!(node.span_at(&["a", "b"]).file.path, "x.json");
        let span = node.span_at(&["a", "c"]);
        assert_eq!((span.file.path.as_str(), span.line_column()), ("profile.json", (2, 14)));
    }

    #[test]
    fn only_strict_json_is_read() {
        for bad in [
            "",
            "{a:1}",
            "{\"a\":1,}",
            "// x\n{}",
            "{'a':1}",
            "{\"a\":0x1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1",
            "\u{feff}{}",
        ] {
            let (_, out) = read(bad);
            assert_eq!(out.first().map(|d| d.code), Some("syntax"), "{bad}");
        }
        assert_eq!(read(r#"{"a":1,"a":2}"#).1[0].code, "duplicate-key");
    }
}
