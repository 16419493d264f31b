//! Secrets that core makes when nobody has set them.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use core_engine::driver::SecretRequest;
use core_manifest::Diagnostic;
use core_manifest::manifest::Kind;
use core_nats::Member;

use super::{Drafts, Sources};
use crate::paths::Paths;

/// Characters of a made secret: none that needs quoting anywhere.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Its length: 24 of 57 characters are 140 bits.
const LENGTH: usize = 24;

/// Sees to it that the secrets drivers ask for are there. Returns what is to be said of those that were made.
pub(super) fn ensure(
    paths: &Paths,
    drafts: &Drafts,
    sources: &mut Sources,
    make: bool,
    out: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut announcements = Vec::new();
    let env = drafts.env(sources);
    for (name, draft) in &drafts.services {
        let request = match draft.outline.kind {
            Kind::Pocketbase => core_pocketbase::SECRET,
            Kind::Nats if drafts.members.get(name).is_some_and(Member::is_clustered) => core_nats::SECRET,
            _ => continue,
        };
        let own = draft.node.get("process").and_then(|process| process.get("env")?.get(request.variable));
        if own.is_some() {
            continue;
        }
        // A secret that the operator set passes by way of the environment, and outranks the file.
        if let Some(set) = env.get(request.variable).filter(|value| !value.is_empty()) {
            sources.secrets.insert(request.file.to_owned(), set.clone());
            continue;
        }
        if sources.secrets.contains_key(request.file) {
            continue;
        }
        if !make {
            sources.secrets.insert(request.file.to_owned(), String::new());
            continue;
        }
        match write(paths, &request) {
            Ok(secret) => {
                announcements.extend(request.announcement.map(|text| text.replace("{}", &secret)));
                sources.secrets.insert(request.file.to_owned(), secret);
            }
            Err(error) => out.push(
                Diagnostic::new("unwritable", format!(".secrets/{} cannot be written: {error}", request.file))
                    .service(name.as_str())
                    .help(format!("make it writable, or set {} in .env", request.variable)),
            ),
        }
    }
    announcements
}

fn write(paths: &Paths, request: &SecretRequest) -> io::Result<String> {
    let secret = random_text()?;
    DirBuilder::new().recursive(true).mode(0o700).create(paths.secrets())?;
    let path = paths.secrets().join(request.file);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    Ok(secret)
}

fn random_text() -> io::Result<String> {
    let mut text = String::new();
    while text.len() < LENGTH {
        let mut bytes = [0_u8; 64];
        let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        // Bytes beyond the last whole multiple of the alphabet would favour its beginning.
        let limit = u8::try_from(256 / ALPHABET.len() * ALPHABET.len() - 1).unwrap_or(u8::MAX);
        let fair = bytes[..count].iter().filter(|byte| **byte <= limit);
        text.extend(fair.map(|byte| char::from(ALPHABET[*byte as usize % ALPHABET.len()])).take(LENGTH - text.len()));
    }
    Ok(text)
}

/// Words in the name of a variable by which its value is one that is never printed.
const SECRET_WORDS: [&str; 12] = [
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
    "DSN",
];

/// Whether the value of a variable of this name is never printed: by a word of its name (`DB_PASS`, `apiKey`), and not by
/// a part of one (`MONKEY`, `COMPASS`). What is public by its name is not covered.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let is_public = name.starts_with("NEXT_PUBLIC_") || name == "PWD" || name == "OLDPWD";
    !is_public
        && words(name).iter().any(|word| SECRET_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit())))
}

/// The words of a name: between `_`, and where a capital follows a small letter.
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

/// What is printed in the place of a secret.
const COVER: &str = "********";

/// Covers, anywhere in a value, what stands under the name of a secret, and the secrets themselves.
pub fn mask(value: &mut serde_json::Value, secrets: &[String]) {
    match value {
        serde_json::Value::Object(entries) => {
            for (name, value) in entries {
                if is_secret_name(name) && value.is_string() {
                    *value = serde_json::Value::String(COVER.into());
                } else {
                    mask(value, secrets);
                }
            }
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(|value| mask(value, secrets)),
        serde_json::Value::String(text) => {
            *text = covered(text, secrets.iter().map(String::as_str));
        }
        _ => {}
    }
}

/// A text in which secrets are covered.
pub(crate) fn covered<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    // What is very short would cover half of every text.
    secrets.filter(|secret| secret.len() >= 4).fold(text.to_owned(), |text, secret| text.replace(secret, COVER))
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
}
