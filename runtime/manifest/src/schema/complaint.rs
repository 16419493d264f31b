//! The messages about a value that does not follow the schema.

use serde_json::Value as Json;

use super::{bound, kinds};
use crate::diagnostic::Diagnostic;
use crate::name::nearest;
use crate::tree::{Node, Value};

/// The word that selects an alternative is not one of the known ones.
pub(super) fn wrong_tag(variants: &[&Json], node: &Node, tag: &str) -> Diagnostic {
    let known: Vec<&str> = variants
        .iter()
        .filter_map(|one| one.pointer(&format!("/properties/{tag}/const")).and_then(Json::as_str))
        .collect();
    let value = node.get(tag);
    let found = value.map_or("nothing".to_owned(), shown);
    let guess = value.and_then(Node::text).and_then(|text| nearest(text, known.iter().copied()));
    Diagnostic::new("wrong-value", format!("`{tag}` is {found}, expected one of {}", list(&known)))
        .at(value.unwrap_or(node).span.clone())
        .help_opt(guess.map(|guess| format!("did you mean `{guess}`?")))
}

/// A key that is not allowed here.
pub(super) fn unknown_key<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone, path: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new("unknown-key", format!("unknown key `{name}` in {}", place(path)));
    if path == "process.compose" && crate::manifest::compose::NOT_YET.contains(&name) {
        return Diagnostic::new(
            "not-supported",
            format!("`{name}` is a field of process-compose that core does not carry out"),
        )
        .help("take it out; the service would run as if it were not there");
    }
    match nearest(name, known.clone()) {
        Some(guess) => diagnostic.help(format!("did you mean `{guess}`?")),
        None => {
            let known: Vec<&str> = known.filter(|key| *key != "$schema").collect();
            diagnostic.help(format!("known keys here: {}", known.join(", ")))
        }
    }
}

/// A value that matches none of the allowed alternatives.
pub(super) fn mismatch(variants: &[&Json], node: &Node, path: &str) -> Diagnostic {
    let words: Vec<String> =
        variants.iter().flat_map(|one| constants(one)).map(|one| one.trim_matches('"').to_owned()).collect();
    let mut expected: Vec<String> = Vec::new();
    for one in variants {
        let text = describe(one);
        if !expected.contains(&text) {
            expected.push(text);
        }
    }
    let all_words = variants.iter().all(|one| !constants(one).is_empty());
    let expected =
        if all_words && words.len() > 1 { format!("one of {}", list(&words)) } else { expected.join(" or ") };
    let guess = node.text().and_then(|text| nearest(text, words.iter().map(String::as_str)));
    let code = if !words.is_empty() && node.text().is_some() { "wrong-value" } else { "wrong-type" };
    Diagnostic::new(code, format!("{} is {}, expected {expected}", place(path), shown(node)))
        .at(node.span.clone())
        .help_opt(guess.map(|guess| format!("did you mean `{guess}`?")))
        .help_opt(matches!(node.value, Value::Null).then(|| "leave the key out to have its default".to_owned()))
}

fn constants(schema: &Json) -> Vec<String> {
    match (schema.get("const"), schema.get("enum").and_then(Json::as_array)) {
        (Some(one), _) => vec![one.to_string()],
        (None, Some(several)) => several.iter().map(Json::to_string).collect(),
        (None, None) => Vec::new(),
    }
}

fn describe(schema: &Json) -> String {
    let constants = constants(schema);
    match constants.as_slice() {
        [] => {}
        [one] => return one.clone(),
        several => return format!("one of {}", several.join(", ")),
    }
    let range = |noun: &str| match (bound(schema, "minimum"), bound(schema, "maximum")) {
        (Some(least), Some(most)) => format!("{noun} from {least} to {most}"),
        (Some(least), None) => format!("{noun}, {least} or more"),
        _ => noun.to_owned(),
    };
    match kinds(schema).unwrap_or_default().first() {
        Some(&"boolean") => "true or false".into(),
        Some(&"integer") => range("a whole number"),
        Some(&"number") => range("a number"),
        Some(&"string") => "a string".into(),
        Some(&"array") if schema.get("minItems").is_some() => "a list with at least one element".into(),
        Some(&"array") => "a list".into(),
        Some(&"object") => "an object".into(),
        _ => "something else".into(),
    }
}

/// The help for a missing key: what it is for.
pub(super) fn describe_help(key: &str, schema: &Json) -> String {
    schema.get("description").and_then(Json::as_str).map_or_else(
        || format!("add `\"{key}\": …`"),
        |text| format!("`{key}`: {}", text.lines().next().unwrap_or_default()),
    )
}

/// A value as messages quote it: short ones in full.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::String(text) if text.chars().count() <= 40 => format!("\"{text}\""),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => node.kind().to_owned(),
    }
}

fn list(words: &[impl AsRef<str>]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A path extended by one step.
pub(super) fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// A path as messages name it.
pub(super) fn place(path: &str) -> String {
    if path.is_empty() { "the manifest".to_owned() } else { format!("`{path}`") }
}
