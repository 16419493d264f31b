//! The variables of the file, which replace values that came from outside.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::Template;
use core_manifest::origin::Origin;
use core_manifest::template::Piece as Part;

use super::slot::Slot;

/// A shorter secret is only found by its origin: its value would be found in half of every text.
const LEAST: usize = 4;

/// The variables, their values, and where those come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    names: BTreeMap<Origin, String>,
    values: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
    /// Variables that are not set, and what they have to be set to: the file of a secret, or another variable.
    pub(super) unset: BTreeMap<String, String>,
}

/// One part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that was written literally.
    Literal(String),
    /// The value of this variable.
    Variable(String),
}

impl Variables {
    /// The variables for these values.
    pub(super) fn of(values: &BTreeMap<Origin, String>) -> Self {
        let mut variables = Self::default();
        for (origin, value) in values {
            variables.add(origin, value);
        }
        variables
    }

    fn add(&mut self, origin: &Origin, value: &str) {
        if self.names.contains_key(origin) || value.is_empty() {
            return;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let variable = match origin {
            Origin::Variable(name) if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) => {
                name.clone()
            }
            Origin::Variable(name) => self.alias("CORE_ENV_", name, format!("the variable {name}")),
            Origin::Secret(name) => self.alias("CORE_SECRET_", name, format!(".secrets/{name}")),
        };
        if matches!(origin, Origin::Secret(_)) {
            self.secrets.insert(variable.clone());
        }
        self.values.insert(variable.clone(), value.to_owned());
        self.names.insert(origin.clone(), variable);
    }

    /// A variable for a value that is not one (a secret), or for one whose name cannot be used.
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
    pub(super) fn value(&self, variable: &str) -> &str {
        self.values.get(variable).map(String::as_str).unwrap_or_default()
    }

    /// The pieces of a text of a slot.
    pub(super) fn text(&self, template: &Template, slot: &Slot<'_>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        for part in template.pieces() {
            let variable = match part {
                Part::From(origin, _) => self.names.get(origin),
                _ => None,
            };
            match variable {
                Some(variable) => {
                    self.literal(&Template::from_pieces(plain.drain(..)).fill(slot), &mut pieces);
                    pieces.push(Piece::Variable(variable.clone()));
                }
                None => plain.push(part.clone()),
            }
        }
        self.literal(&Template::from_pieces(plain).fill(slot), &mut pieces);
        pieces
    }

    /// The pieces of a text of unknown origin: secrets in it are found anyway.
    pub(super) fn literal(&self, text: &str, pieces: &mut Vec<Piece>) {
        let long = self.secrets.iter().map(|variable| (variable, self.value(variable)));
        let long = long.filter(|(_, value)| value.len() >= LEAST);
        let found = long.filter_map(|(variable, value)| Some((text.find(value)?, variable, value)));
        // The first match; of two at the same position the longer one.
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

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let mut variables = Variables::default();
        variables.add(&Origin::Secret("a".into()), "hunter2");
        variables.add(&Origin::Secret("b".into()), "x");
        let shown = |text: &str| {
            let mut pieces = Vec::new();
            variables.literal(text, &mut pieces);
            let words = pieces.into_iter().map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Variable(name) => format!("({name})"),
            });
            words.collect::<String>()
        };
        assert_eq!(shown("a hunter2 that nobody knows of, x"), "a (CORE_SECRET_A) that nobody knows of, x");
        assert_eq!(shown("plain"), "plain");
    }

    #[test]
    fn two_names_never_become_one_variable() {
        let mut variables = Variables::default();
        let names = ["a-b", "a_b", "a.b"].map(|name| {
            variables.add(&Origin::Secret(name.into()), "value");
            variables.names[&Origin::Secret(name.into())].clone()
        });
        assert_eq!(names, ["CORE_SECRET_A_B", "CORE_SECRET_A_B_2", "CORE_SECRET_A_B_3"]);
    }
}
