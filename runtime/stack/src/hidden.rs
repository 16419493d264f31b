//! What is never shown: secrets, and the values of variables named like secrets. The rules for names are only here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

use core_engine::Topology;

/// Printed instead of a secret.
const COVER: &str = "********";
/// A value of at least this length, in bytes, is covered wherever it occurs.
const LONG: usize = 8;
/// A shorter one, down to this length, is covered only as a whole word; otherwise half of every text would be covered.
const SHORT: usize = 4;

/// Values that carry no information, whatever the name of the variable.
const ORDINARY: [&str; 4] = ["true", "false", "null", "none"];

/// Words that mark a variable by its name as one whose value is never printed.
const SECRET_WORDS: [&str; 16] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "APIKEY",
    "PAT",
    "CREDENTIALS",
    "CREDENTIAL",
    "CREDS",
    "PW",
    "PSWD",
    "DSN",
];

/// Whether the value of a variable with this name is never printed. That depends on whole words of the name (`DB_PASS`,
/// `apiKey`), not on parts of words (`MONKEY`, `COMPASS`). Variables that are public by their name are not covered.
pub fn is_secret_name(name: &str) -> bool {
    let is_public = name.starts_with("NEXT_PUBLIC_") || name == "PWD" || name == "OLDPWD";
    !is_public
        && words(name).iter().any(|word| SECRET_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit())))
}

/// The words of a name: split at `_`, and where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for character in name.chars() {
        let begins = character.is_ascii_uppercase() && was_small;
        was_small = character.is_ascii_lowercase();
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_ascii_alphanumeric()) {
            word.push(character.to_ascii_uppercase());
        }
    }
    words
}

/// The parts of a variable's value that are not shown: all of it, because of its name; or the password in a URL
/// (`postgres://user:password@host`), whatever the name.
pub fn secret_parts(name: &str, value: &str) -> Vec<String> {
    if is_secret_name(name) {
        return vec![value.to_owned()];
    }
    passwords(value).map(|at| value[at].to_owned()).collect()
}

/// The ranges of passwords in a text, as parts of URLs.
fn passwords(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    text.match_indices("://").filter_map(|(at, mark)| {
        let begin = at + mark.len();
        let rest = &text[begin..];
        let authority = &rest[..rest.find(['/', '?', '#', '"', '\'', ' ', '\n']).unwrap_or(rest.len())];
        let userinfo = &authority[..authority.rfind('@')?];
        let colon = userinfo.find(':')?;
        (colon + 1 < userinfo.len()).then_some(begin + colon + 1..begin + userinfo.len())
    })
}

/// Values that are never shown. Clones share the same set.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Arc<RwLock<BTreeSet<String>>>);

impl Hidden {
    /// A set of these values.
    pub fn of(values: &[String]) -> Self {
        let hidden = Self::default();
        hidden.learn(values.iter().cloned());
        hidden
    }

    /// Adds values.
    pub fn learn(&self, values: impl IntoIterator<Item = String>) {
        let values = values.into_iter().flat_map(|value| forms(&value));
        let values = values.filter(|value| value.len() >= SHORT && !ORDINARY.contains(&value.as_str()));
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(values);
    }

    /// Adds all values of another set.
    pub fn learn_from(&self, other: &Self) {
        // They are already there in all their forms.
        let values = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(values);
    }

    /// Adds the values of variables of services that are named like secrets.
    pub fn learn_of(&self, topology: &Topology) {
        let variables = topology.services.values().flat_map(|spec| &spec.env);
        let known = variables.filter_map(|(name, value)| Some((name, value.known_text()?)));
        self.learn(known.flat_map(|(name, value)| secret_parts(name, &value)));
    }

    /// Whether a text contains one of them.
    pub fn is_in(&self, text: &str) -> bool {
        self.cover(text) != text
    }

    /// The text with these values covered.
    pub fn cover(&self, text: &str) -> String {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Longer values first: one may be a part of another.
        let mut found: Vec<&String> = values.iter().filter(|value| text.contains(value.as_str())).collect();
        found.sort_by_key(|value| std::cmp::Reverse(value.len()));
        found.into_iter().fold(text.to_owned(), |text, value| {
            if value.len() >= LONG { text.replace(value, COVER) } else { cover_word(&text, value) }
        })
    }

    /// Covers them in all texts of a value, and every value with a name like a secret.
    pub fn cover_all(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(entries) => {
                for (name, value) in entries {
                    if is_secret_name(name) && value.is_string() {
                        *value = serde_json::Value::String(COVER.into());
                    } else {
                        self.cover_all(value);
                    }
                }
            }
            serde_json::Value::Array(elements) => elements.iter_mut().for_each(|value| self.cover_all(value)),
            serde_json::Value::String(text) => *text = self.cover(text),
            _ => {}
        }
    }
}

/// The forms in which a value may show up: as it is, each of its lines, as JSON and templates write it, and
/// percent-decoded.
fn forms(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    // A key with several lines is shown line by line. A short line alone is not a secret.
    all.extend(value.lines().map(str::trim).filter(|line| line.len() >= LONG && *line != value).map(str::to_owned));
    for form in all.clone() {
        let json = serde_json::Value::from(form.as_str()).to_string();
        all.push(json[1..json.len() - 1].to_owned());
        all.push(form.replace('$', "$$"));
        all.push(json[1..json.len() - 1].replace('$', "$$"));
        all.push(percent_decoded(&form));
    }
    all.sort();
    all.dedup();
    all
}

/// Decodes percent encoding: `%41` is `A`.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Covers a word where it is not a part of a longer word.
fn cover_word(text: &str, word: &str) -> String {
    let is_part = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let (mut out, mut from) = (String::new(), 0);
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        if at < from || is_part(text[..at].chars().next_back()) || is_part(text[end..].chars().next()) {
            continue;
        }
        let _ = write!(out, "{}{COVER}", &text[from..at]);
        from = end;
    }
    out + &text[from..]
}

/// The text of a manifest, a profile or a `.env`, as it may be shown with a diagnostic: values with a name like a
/// secret are covered byte by byte, so that nothing moves.
pub fn cover_source(path: &str, text: &str) -> String {
    if path.rsplit('/').next().is_some_and(|name| name.starts_with(".env") || name.ends_with(".env")) {
        return cover_dotenv(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut cover = |range: std::ops::Range<usize>| bytes[range].fill(b'*');
    passwords(text).for_each(&mut cover);
    for range in values_of_secrets(text).into_iter().chain(defaults_of_secrets(text)) {
        cover(range);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| COVER.to_owned())
}

/// The ranges of values with a name like a secret: `"NAME": "value"`.
fn values_of_secrets(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut strings = strings(text).peekable();
    while let Some(name) = strings.next() {
        let Some(value) = strings.peek() else { break };
        let is_value = text[name.end + 1..value.start - 1].trim() == ":";
        if is_value && is_secret_name(&text[name]) && !is_placeholder(&text[value.clone()]) {
            found.push(value.clone());
        }
    }
    found
}

/// The ranges of default values in placeholders of variables named like secrets: `${env.TOKEN:-value}`.
fn defaults_of_secrets(text: &str) -> Vec<std::ops::Range<usize>> {
    let found = text.match_indices(":-").filter_map(|(at, mark)| {
        let name = text[..at].rsplit("env.").next()?;
        let begin = at + mark.len();
        let end = begin + text[begin..].find(['}', '>', '"', '\n']).unwrap_or(text.len() - begin);
        (is_secret_name(name) && !name.contains(['{', '"'])).then_some(begin..end)
    });
    found.collect()
}

/// Covers a `.env` that has an error: the error may concern what is a name and what a value, so only the starts of
/// lines are shown.
fn cover_dotenv(text: &str) -> String {
    let mut after_secret = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let end = line.trim_end().len();
        let shown = line.find(['=', ':']).map_or(0, |at| at + 1);
        if shown > 0 || line.trim().is_empty() {
            after_secret = is_secret_name(line[..shown].trim_end_matches(['=', ':']).trim());
        }
        // A value may continue on the next line.
        let from = if shown > 0 { shown } else { end * usize::from(!after_secret) };
        format!("{}{}{}", &line[..from.min(end)], "*".repeat(end.saturating_sub(from)), &line[end..])
    });
    lines.collect()
}

/// Whether a text is one placeholder. That is not a secret: it only says where one is.
fn is_placeholder(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let inside = inside.or_else(|| text.strip_prefix("$<").and_then(|rest| rest.strip_suffix('>')));
    inside.is_some_and(|name| !name.contains(['$', '{', '}', '<', '>']))
}

/// The ranges inside the quotes of JSON strings.
fn strings(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find('"')? + 1;
        let mut end = begin;
        while text.as_bytes().get(end).is_some_and(|byte| *byte != b'"') {
            end += if text.as_bytes()[end] == b'\\' { 2 } else { 1 };
        }
        if end >= text.len() {
            return None;
        }
        at = end + 1;
        Some(begin..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_words_of_their_names() {
        let secret =
            ["PASSWORD", "TOKEN", "SECRET", "APIKEY", "DB_PASS", "GITHUB_PAT", "API_KEY", "apiKey", "db_password2"];
        let plain = ["MONKEY", "COMPASS", "PATH", "PWD", "KEYBOARD", "NEXT_PUBLIC_API_KEY", "PORT", "BYPASSED"];
        assert_eq!(secret.map(is_secret_name), [true; 9], "{secret:?}");
        assert_eq!(plain.map(is_secret_name), [false; 8], "{plain:?}");
    }

    #[test]
    fn a_password_in_an_address_is_a_secret() {
        let parts = |value: &str| secret_parts("DATABASE_URL", value);
        assert_eq!(parts("postgres://me:hunter22@db:5432/x"), ["hunter22"]);
        assert_eq!(parts("a=redis://:p@ss@h b=http://u:q@h/"), ["p@ss", "q"]);
        assert_eq!(parts("http://me@host/a:b@c"), [""; 0]);
        assert_eq!(secret_parts("API_TOKEN", "abc"), ["abc"]);
    }

    #[test]
    fn values_are_covered_where_they_stand() {
        let hidden = Hidden::of(&["long-secret".into(), "test".into(), "abc".into(), "long-secret-2".into()]);
        for (text, covered) in [
            ("x=long-secret, y", "x=********, y"),
            ("prelong-secretpost", "pre********post"),
            ("long-secret-2", "********"),
            ("the test is tested in /test/", "the ******** is tested in /********/"),
            ("abc", "abc"),
        ] {
            assert_eq!(hidden.cover(text), covered);
        }
        let mut value = serde_json::json!({"a": ["long-secret"], "TOKEN": "x", "b": {"API_KEY": 7}});
        hidden.cover_all(&mut value);
        assert_eq!(value, serde_json::json!({"a": [COVER], "TOKEN": COVER, "b": {"API_KEY": 7}}));
    }

    #[test]
    fn a_value_is_covered_in_all_its_forms() {
        let values = ["-----BEGIN KEY-----\nline-of-the-key\n", "a\"b\tc$dé12", "p%40ss%2Fword"];
        let hidden = Hidden::of(&values.map(str::to_owned));
        for text in ["line-of-the-key", "-----BEGIN KEY-----", r#"a\"b\tc$dé12"#, r#"a\"b\tc$$dé12"#, "p@ss/word"] {
            assert_eq!(hidden.cover(&format!("<{text}>")), "<********>", "{text}");
        }
        assert_eq!(Hidden::of(&["true".into()]).cover("true"), "true");
        // Every reading adds them again, which does not make them more.
        let (known, before) = (Hidden::default(), hidden.0.read().unwrap().clone());
        for _ in 0..3 {
            known.learn_from(&hidden);
        }
        assert_eq!(*known.0.read().unwrap(), before);
    }

    #[test]
    fn lines_beside_a_complaint_show_no_secret() {
        let manifest =
            r#"{"env": {"DB_PASSWORD": "hunt\"er", "A": "b", "URL": "x://u:pw@h"}, "TOKEN": 7, "KEY" : "é"}"#;
        let shown = r#"{"env": {"DB_PASSWORD": "********", "A": "b", "URL": "x://u:**@h"}, "TOKEN": 7, "KEY" : "**"}"#;
        assert_eq!(cover_source("a/service.json", manifest), shown);
        let dotenv = "A=b\nexport MY_TOKEN='x y'\nSECRET=\nKEY=\"BEGIN\nmore\n\nplain line\n";
        let shown = "A=*\nexport MY_TOKEN=*****\nSECRET=\nKEY=******\n****\n\nplain line\n";
        assert_eq!(cover_source(".env", dotenv), shown);
        let default = r#"{"A": "${env.MY_TOKEN:-value}", "B": "${env.B:-value}"}"#;
        assert_eq!(cover_source("x.json", default), r#"{"A": "${env.MY_TOKEN:-*****}", "B": "${env.B:-value}"}"#);
        let told = r#"{"TOKEN": "${secret.nope}", "A_KEY": "$<env.K>", "B_KEY": "${x}y${z}"}"#;
        assert_eq!(
            cover_source("service.json", told),
            r#"{"TOKEN": "${secret.nope}", "A_KEY": "$<env.K>", "B_KEY": "*********"}"#
        );
        for odd in ["", "\"", "{\"KEY\": \"", "=", "KEY=", "\"KEY\":\"\\"] {
            assert_eq!(cover_source("x.json", odd), odd);
        }
    }
}
