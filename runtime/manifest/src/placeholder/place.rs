//! The places of placeholders in a file.

use crate::diagnostic::Span;
use crate::template::{Piece, Template};
use crate::tree::{Node, Value};

/// The place of a hole in a tree whose strings were resolved: the first string that has it.
pub fn place_of_hole(node: &Node, hole: &Piece) -> Option<Span> {
    match &node.value {
        Value::Object(entries) => entries.iter().find_map(|(_, child)| place_of_hole(child, hole)),
        Value::Array(elements) => elements.iter().find_map(|child| place_of_hole(child, hole)),
        Value::String(text) => {
            Template::parse(text).ok().filter(|template| template.pieces().contains(hole))?;
            let written = Template::from_pieces([hole.clone()]).to_string();
            let other = written.replace('{', "<").replace('}', ">");
            let inside = node.span.file.text.get(node.span.start..node.span.end)?;
            let found = [written, other].into_iter().find_map(|one| Some((inside.find(&one)?, one.len())));
            let (start, length) = found.unwrap_or((0, inside.len()));
            let start = node.span.start + start;
            Some(Span { file: node.span.file.clone(), start, end: start + length })
        }
        _ => None,
    }
}

/// The place of `part` inside the place of a string; exact if the string is written without escapes.
pub(super) fn place_of(text: &str, part: &str, span: &Span) -> Span {
    let inside = span.file.text.get(span.start..span.end).unwrap_or_default();
    match (inside.len() == text.len() + 2, inside.find(part)) {
        (true, Some(at)) => Span { file: span.file.clone(), start: span.start + at, end: span.start + at + part.len() },
        _ => span.clone(),
    }
}
