//! The JSON Schema of what people write, and the check of a tree against it.
//!
//! The schema is generated from the Rust types. Editors get it (with the short forms, see `editor`), and files are
//! checked with it, so the two cannot differ. The check is core's own (for the part of JSON Schema that these types
//! produce) because its messages are the feature: all errors of a file at once, each with its place, what was expected,
//! and the nearest known name.

mod complaint;
mod generate;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::manifest::Manifest;
use crate::template::TEMPLATE;
use crate::tree::{Node, Value};
use complaint::{describe_help, join, mismatch, place, unknown_key, wrong_tag};
use generate::generate;

/// A schema together with the definitions that it refers to.
pub struct Shape {
    root: Json,
}

/// The shape of a manifest. To generate it takes as long as everything else that is done with a small one.
static MANIFEST: LazyLock<Shape> = LazyLock::new(Shape::of::<Manifest>);

impl Shape {
    /// The shape of a manifest, made once.
    pub fn of_manifest() -> &'static Self {
        &MANIFEST
    }

    /// The schema of `T`.
    pub fn of<T: JsonSchema>() -> Self {
        Self { root: generate::<T>() }
    }

    /// The schema as JSON, for editors.
    pub fn json(&self) -> &Json {
        &self.root
    }

    /// The starting point for walking along a tree.
    pub fn start(&self) -> Candidates<'_> {
        Candidates { shape: self, schemas: self.flatten(&self.root) }
    }

    /// Checks `node`; all errors go to `out`.
    pub fn check(&self, node: &Node, out: &mut Vec<Diagnostic>) {
        self.check_at(&self.root, node, "", out);
    }

    fn follow<'a>(&'a self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        while let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let Some(target) = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
                break;
            };
            schema = target;
        }
        schema
    }

    /// `schema`, or the alternatives that it consists of.
    fn flatten<'a>(&'a self, schema: &'a Json) -> Vec<&'a Json> {
        let schema = self.follow(schema);
        match alternatives(schema) {
            Some(list) => list.iter().flat_map(|one| self.flatten(one)).collect(),
            None => vec![schema],
        }
    }

    fn check_at(&self, schema: &Json, node: &Node, path: &str, out: &mut Vec<Diagnostic>) {
        let variants = self.flatten(schema);
        let fitting: Vec<&Json> = variants.iter().copied().filter(|one| accepts_kind(one, node)).collect();
        match fitting.as_slice() {
            [] => out.push(mismatch(&variants, node, path)),
            // If one fixed word is allowed here and another was written, the message lists everything that is allowed.
            [word] if word.get("const").is_some_and(|word| *word != node.to_json()) => {
                out.push(mismatch(&variants, node, path));
            }
            [one] => self.check_one(one, node, path, out),
            several => {
                // Of several alternatives, the one with the fewest errors was meant; a wrong tag weighs more.
                let best = several
                    .iter()
                    .map(|one| {
                        let mut faults = Vec::new();
                        self.check_one(one, node, path, &mut faults);
                        (
                            faults.iter().map(|fault| if fault.code == "wrong-value" { 100 } else { 1 }).sum::<usize>(),
                            faults,
                        )
                    })
                    .min_by_key(|(weight, _)| *weight);
                let Some((_, faults)) = best else { return };
                let tag = several.iter().find_map(|one| tag_of(one));
                match tag {
                    Some(tag) if faults.iter().any(|fault| fault.code == "wrong-value") => {
                        out.push(wrong_tag(several, node, tag));
                    }
                    _ if several.iter().all(|one| one.get("const").is_some()) && !faults.is_empty() => {
                        out.push(mismatch(several, node, path));
                    }
                    _ => out.extend(faults),
                }
            }
        }
    }

    fn check_one(&self, schema: &Json, node: &Node, path: &str, out: &mut Vec<Diagnostic>) {
        if let Some(expected) = schema.get("const") {
            if &node.to_json() != expected {
                out.push(mismatch(&[schema], node, path));
            }
            return;
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            if !allowed.contains(&node.to_json()) {
                out.push(mismatch(&[schema], node, path));
            }
            return;
        }
        match &node.value {
            Value::Object(entries) => self.check_object(schema, node, entries.iter().map(|(k, n)| (k, n)), path, out),
            Value::Array(elements) => {
                if let Some(items) = schema.get("items") {
                    for (index, element) in elements.iter().enumerate() {
                        self.check_at(items, element, &join(path, &index.to_string()), out);
                    }
                }
                if let Some(least) = schema.get("minItems").and_then(Json::as_u64)
                    && (elements.len() as u64) < least
                {
                    out.push(mismatch(&[schema], node, path));
                }
            }
            Value::Number(number) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                let below = bound(schema, "minimum").is_some_and(|least| value < least);
                let above = bound(schema, "maximum").is_some_and(|most| value > most);
                if below || above {
                    out.push(mismatch(&[schema], node, path));
                }
            }
            _ => {}
        }
    }

    fn check_object<'n>(
        &self,
        schema: &Json,
        node: &Node,
        entries: impl Iterator<Item = (&'n crate::tree::Key, &'n Node)>,
        path: &str,
        out: &mut Vec<Diagnostic>,
    ) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        for (key, value) in entries {
            if let Some(child) = properties.get(&key.name) {
                self.check_at(child, value, &join(path, &key.name), out);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) => {
                    out.push(unknown_key(&key.name, properties.keys().map(String::as_str), path).at(key.span.clone()));
                }
                Some(child @ Json::Object(_)) => self.check_at(child, value, &join(path, &key.name), out),
                _ => {}
            }
        }
        for required in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if node.get(required).is_none() {
                out.push(
                    Diagnostic::new("missing-key", format!("{} needs a key `{required}`", place(path)))
                        .at(node.span.clone())
                        .help_opt(properties.get(required).map(|child| describe_help(required, self.follow(child)))),
                );
            }
        }
    }
}

/// The schemas that a place in a tree may follow; several if the types leave a choice.
#[derive(Clone)]
pub struct Candidates<'a> {
    shape: &'a Shape,
    schemas: Vec<&'a Json>,
}

impl<'a> Candidates<'a> {
    /// What is allowed at `key` of an object here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(|schema| {
            schema
                .get("properties")
                .and_then(|all| all.get(key))
                .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
        })
    }

    /// What is allowed as an element of an array here.
    #[must_use]
    pub fn element(&self) -> Self {
        self.step(|schema| schema.get("items"))
    }

    fn step(&self, child: impl Fn(&'a Json) -> Option<&'a Json>) -> Self {
        let schemas = self
            .schemas
            .iter()
            .filter_map(|schema| child(schema))
            .flat_map(|schema| self.shape.flatten(schema))
            .collect();
        Self { shape: self.shape, schemas }
    }

    /// Whether a string here may contain placeholders of one instance.
    pub fn is_template(&self) -> bool {
        self.schemas.iter().any(|schema| schema.get("format").and_then(Json::as_str) == Some(TEMPLATE))
    }

    /// Whether a string is allowed here.
    pub fn takes_string(&self) -> bool {
        // If nothing is known (the free-form `config` of a driver), a string is allowed.
        self.schemas.is_empty()
            || self.schemas.iter().any(|schema| kinds(schema).is_none_or(|all| all.contains(&"string")))
    }
}

fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array)
}

fn kinds(schema: &Json) -> Option<Vec<&str>> {
    match schema.get("type") {
        Some(Json::String(one)) => Some(vec![one.as_str()]),
        Some(Json::Array(several)) => Some(several.iter().filter_map(Json::as_str).collect()),
        _ => match schema.get("const").or_else(|| schema.get("enum").and_then(|list| list.get(0))) {
            Some(Json::String(_)) => Some(vec!["string"]),
            _ => None,
        },
    }
}

fn accepts_kind(schema: &Json, node: &Node) -> bool {
    let Some(kinds) = kinds(schema) else { return true };
    kinds.iter().any(|kind| match &node.value {
        Value::Null => *kind == "null",
        Value::Bool(_) => *kind == "boolean",
        Value::Number(number) => *kind == "number" || *kind == "integer" && (number.is_i64() || number.is_u64()),
        Value::String(_) => *kind == "string",
        Value::Array(_) => *kind == "array",
        Value::Object(_) => *kind == "object",
    })
}

fn bound(schema: &Json, word: &str) -> Option<f64> {
    schema.get(word).and_then(Json::as_f64)
}

/// The property that tells the alternatives of an object apart: the one with a `const`.
fn tag_of(schema: &Json) -> Option<&str> {
    let properties = schema.get("properties")?.as_object()?;
    properties.iter().find(|(_, child)| child.get("const").is_some()).map(|(name, _)| name.as_str())
}
