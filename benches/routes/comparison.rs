//! What differs in two answers.

use std::collections::BTreeSet;

use crate::client::Answer;
use crate::texts::Texts;

/// How much of a body is shown around the place where it begins to differ.
const BEFORE: usize = 30;
const AROUND: usize = 80;
/// What stands for a header that is not there.
const ABSENT: &str = "-";

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// `status`, `body`, or the name of a header.
    pub(crate) what: String,
    /// What `next start` has.
    pub(crate) next: String,
    /// What the edge has.
    pub(crate) edge: String,
}

/// One side's answer, and what is taken out of its texts.
type Said<'a> = (&'a Answer, &'a Texts);

/// All differences that count. Where the status is another one, everything else follows from that.
pub(crate) fn differences(next: Said<'_>, edge: Said<'_>, is_head: bool) -> Vec<Difference> {
    let statuses = (status(next), status(edge));
    if next.0.status != edge.0.status {
        return vec![Difference { what: "status".into(), next: reduced(&statuses.0), edge: reduced(&statuses.1) }];
    }
    let has_length = is_head || matches!(next.0.status, 206 | 304);
    let names: BTreeSet<&str> =
        [next.0, edge.0].iter().flat_map(|answer| &answer.headers).map(|(name, _)| &**name).collect();
    let mut all = Vec::new();
    let mut add = |what: &str, next: String, edge: String| {
        if next != edge {
            let (next, edge) = if what == "vary" { only(&next, &edge) } else { (next, edge) };
            all.push(Difference { what: what.into(), next: reduced(&next), edge: reduced(&edge) });
        }
    };
    for name in names {
        // The framing of a body that is there is a matter of the connection.
        if name != "content-length" || has_length {
            add(name, header(next, name), header(edge, name));
        }
    }
    let broken = |said: Said<'_>| said.0.broken.clone().unwrap_or_else(|| "whole".into());
    add("framing", broken(next), broken(edge));
    if next.0.broken.is_none() && edge.0.broken.is_none() {
        let (next, edge) = bodies(next, edge);
        add("body", next, edge);
    }
    all
}

/// A status, with where it leads and what it comes as.
fn status(said: Said<'_>) -> String {
    let (answer, texts) = said;
    let more = answer.header("location").or_else(|| answer.header("content-type")).unwrap_or_default();
    let broken = answer.broken.as_deref().unwrap_or_default();
    format!("{} {}{broken}", answer.status, texts.plain(&more))
}

/// The values of a header, less what differs between any two servers.
fn header((answer, texts): Said<'_>, name: &str) -> String {
    let Some(joined) = answer.header(name) else { return ABSENT.into() };
    match name {
        "set-cookie" => {
            let mut all: Vec<String> =
                answer.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| cookie(value)).collect();
            all.sort();
            all.join(" and ")
        }
        "vary" => tokens(&joined),
        "etag" => if joined.starts_with("W/") { "weak" } else { "strong" }.into(),
        "date" | "last-modified" => "a time".into(),
        "content-length" => "a number".into(),
        _ => texts.plain(&joined),
    }
}

/// A list of words whose order and case mean nothing.
fn tokens(list: &str) -> String {
    let all: BTreeSet<String> = list.split(',').map(|word| word.trim().to_lowercase()).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// Of two lists, what only one of them has.
fn only(one: &str, other: &str) -> (String, String) {
    let words = |list: &str| -> BTreeSet<String> {
        list.split(", ").filter(|word| *word != ABSENT).map(str::to_owned).collect()
    };
    let (one, other) = (words(one), words(other));
    let left = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        let all: Vec<&str> = these.difference(those).map(|word| &**word).collect();
        if all.is_empty() { ABSENT.to_owned() } else { all.join(", ") }
    };
    (left(&one, &other), left(&other, &one))
}

/// A value of a difference, without what only says in which of several requests it was found.
fn reduced(value: &str) -> String {
    let Some((before, rest)) = value.split_once("_rsc=") else { return value.to_owned() };
    let name = rest.find(|character: char| !(character.is_ascii_alphanumeric() || "-_".contains(character)));
    format!("{before}_rsc=…{}", &rest[name.unwrap_or(rest.len())..])
}

/// A cookie without the values that belong to one build or one moment.
fn cookie(value: &str) -> String {
    let mut parts = value.split(';').map(str::trim);
    let pair = parts.next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let value = if name.starts_with("__") && !value.is_empty() { "…" } else { value };
    let part = |part: &str| match part.split_once('=') {
        Some((name, time)) if name.eq_ignore_ascii_case("expires") => {
            format!("expires {}", if time.contains(" 1970 ") { "at once" } else { "later" })
        }
        _ => part.to_lowercase(),
    };
    let mut parts: Vec<String> = parts.map(part).collect();
    parts.sort();
    format!("{name}={value}; {}", parts.join("; "))
}

/// Two bodies where they begin to differ.
fn bodies((next, next_texts): Said<'_>, (edge, edge_texts): Said<'_>) -> (String, String) {
    if next.body == edge.body {
        return (String::new(), String::new());
    }
    let (Ok(one), Ok(other)) = (std::str::from_utf8(&next.body), std::str::from_utf8(&edge.body)) else {
        return (format!("{} bytes", next.body.len()), format!("other {} bytes", edge.body.len()));
    };
    let one: Vec<char> = next_texts.plain(one).chars().collect();
    let other: Vec<char> = edge_texts.plain(other).chars().collect();
    let at = one.iter().zip(&other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    let excerpt = |text: &[char]| -> String {
        if text.is_empty() {
            return "nothing".into();
        }
        text[at.saturating_sub(BEFORE)..].iter().take(AROUND).collect::<String>().replace(['\n', '\r'], "␤")
    };
    if one == other { (String::new(), String::new()) } else { (excerpt(&one), excerpt(&other)) }
}
