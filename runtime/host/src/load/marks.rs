//! Marks behind values that came from outside: where a value went can be seen in the text it became part of.
//!
//! A mark stands behind its value and not in its place, so that whatever looks at the text (a path that begins with
//! `/`, a URL that is cut at its path) sees what it would see without marks. Marks are made of characters that no
//! text has.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::manifest::Kind;

use super::{Drafts, Sources};

/// Begins and ends a mark: noncharacters, which Unicode keeps for the inside of programs.
const BEGIN: char = '\u{FDD0}';
const END: char = '\u{FDD1}';
/// A secret that is shorter is found by its mark only: it would be found in half of every text.
const LEAST: usize = 4;

/// Variables, the values they stand for, and where those come from.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    values: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
    /// Variables that nobody has set, and what they are to be set to: a secret's file, or another variable.
    pub unset: BTreeMap<String, String>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It was written so.
    Literal(String),
    /// It is the value of this variable.
    Variable(String),
}

impl Marks {
    /// The marks of a stack's values, with sources in which all of them are marked, and the marked `.env`.
    pub(super) fn of(sources: &Sources, drafts: &Drafts) -> (Self, Sources, BTreeMap<String, String>) {
        let mut marks = Self::default();
        let dotenv: BTreeMap<String, String> =
            drafts.dotenv.iter().map(|(name, value)| (name.clone(), marks.variable(name, value))).collect();
        let mut marked = sources.clone();
        marked.env = sources.env.iter().map(|(name, value)| (name.clone(), marks.variable(name, value))).collect();
        // As one set, so that the profile's own variables are resolved with both.
        marked.env.extend(dotenv.clone());
        marked.dotenv = None;
        let env = drafts.env(sources);
        let asked = drafts.services.values().filter(|draft| draft.head.kind == Kind::Pocketbase);
        let asked: BTreeMap<&str, &str> = asked
            .map(|_| (core_pocketbase::SECRET.file, core_pocketbase::SECRET.variable))
            .filter(|(_, variable)| env.get(*variable).is_some_and(|value| !value.is_empty()))
            .collect();
        for (name, value) in &sources.secrets {
            let variable = match asked.get(name.as_str()) {
                Some(variable) => (*variable).to_owned(),
                None => marks.alias("CORE_SECRET_", name, format!(".secrets/{name}")),
            };
            marked.secrets.insert(name.clone(), format!("{value}{BEGIN}{variable}{END}"));
            marks.values.insert(variable.clone(), value.clone());
            marks.secrets.insert(variable);
        }
        (marks, marked, dotenv)
    }

    /// Marks the value of an environment variable.
    fn variable(&mut self, name: &str, value: &str) -> String {
        // Without a value there is nothing to mark, and a default may take its place.
        if value.is_empty() {
            return String::new();
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let variable = if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
            name.to_owned()
        } else {
            self.alias("CORE_ENV_", name, format!("the variable {name}"))
        };
        self.values.insert(variable.clone(), value.to_owned());
        format!("{value}{BEGIN}{variable}{END}")
    }

    /// A variable for what is none, or for one whose name cannot be written.
    fn alias(&mut self, prefix: &str, name: &str, source: String) -> String {
        let word: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let numbered = |number: u32| if number == 1 { String::new() } else { format!("_{number}") };
        let mut all = (1..).map(|number| format!("{prefix}{word}{}", numbered(number)));
        let variable = all.find(|one| !self.values.contains_key(one) && !self.unset.contains_key(one));
        let variable = variable.unwrap_or_default();
        self.unset.insert(variable.clone(), source);
        variable
    }

    /// The value of a variable.
    pub fn value(&self, variable: &str) -> &str {
        self.values.get(variable).map(String::as_str).unwrap_or_default()
    }

    /// Takes a text with marks apart. Secrets are found without a mark, too.
    pub fn split(&self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(BEGIN) {
            let Some((variable, after)) = after.split_once(END) else { break };
            rest = after;
            match before.strip_suffix(self.value(variable)) {
                Some(before) => {
                    self.literal(before, &mut pieces);
                    pieces.push(Piece::Variable(variable.to_owned()));
                }
                // A value that was cut in two. Of a secret not even a part is shown.
                None if self.secrets.contains(variable) => pieces.push(Piece::Variable(variable.to_owned())),
                None => self.literal(before, &mut pieces),
            }
        }
        self.literal(rest, &mut pieces);
        pieces
    }

    fn literal(&self, text: &str, pieces: &mut Vec<Piece>) {
        let long = self.secrets.iter().map(|variable| (variable, self.value(variable)));
        let long = long.filter(|(_, value)| value.len() >= LEAST);
        let found = long.filter_map(|(variable, value)| Some((text.find(value)?, variable, value)));
        // The first; of two at the same place the longer one.
        match found.min_by_key(|(at, _, value)| (*at, std::cmp::Reverse(value.len()))) {
            Some((at, variable, value)) => {
                self.literal(&text[..at], pieces);
                pieces.push(Piece::Variable(variable.clone()));
                self.literal(&text[at + value.len()..], pieces);
            }
            None if text.is_empty() => {}
            None => pieces.push(Piece::Literal(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        let mut marks = Marks::default();
        for (variable, value) in [("HOST", "h.example"), ("EMPTY", ""), ("CORE_SECRET_A", "hunter2")] {
            marks.values.insert(variable.into(), value.into());
        }
        marks.secrets.insert("CORE_SECRET_A".into());
        marks
    }

    fn shown(text: &str) -> String {
        let text = text.replace('<', &BEGIN.to_string()).replace('>', &END.to_string());
        let pieces = marks().split(&text).into_iter();
        pieces
            .map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Variable(name) => format!("({name})"),
            })
            .collect()
    }

    #[test]
    fn values_become_variables_again() {
        for (text, expected) in [
            ("plain", "plain"),
            ("http://h.example<HOST>/x", "http://(HOST)/x"),
            ("h.exampleh.example<HOST>", "h.example(HOST)"),
            ("a<EMPTY>b", "a(EMPTY)b"),
            ("xhunter2<CORE_SECRET_A>", "x(CORE_SECRET_A)"),
            ("a hunter2 that nobody marked", "a (CORE_SECRET_A) that nobody marked"),
            // Cut in two: what is left of a variable is text, what is left of a secret is not shown.
            ("ample<HOST>/x", "ample/x"),
            ("ter2<CORE_SECRET_A>/x", "(CORE_SECRET_A)/x"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn two_names_never_become_one_variable() {
        let mut marks = Marks::default();
        let names = ["a-b", "a_b", "a.b"].map(|name| marks.alias("CORE_SECRET_", name, name.to_owned()));
        assert_eq!(names, ["CORE_SECRET_A_B", "CORE_SECRET_A_B_2", "CORE_SECRET_A_B_3"]);
    }
}
