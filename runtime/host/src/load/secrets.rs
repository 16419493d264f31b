//! Generates secrets that core needs and that were not set.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use core_engine::driver::SecretRequest;
use core_manifest::Diagnostic;
use core_stack::{Drafts, Sources, drivers};

use crate::paths::Paths;

/// Characters of a generated secret: none needs quoting anywhere.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Length of a generated secret: 24 of 57 characters are 140 bits.
const LENGTH: usize = 24;

/// Makes sure that the secrets that drivers need exist. Returns announcements about generated ones.
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
        let Some(request) = drivers::secret(draft.head.kind, drafts.members.get(name)) else { continue };
        let own = draft.node.get("process").and_then(|process| process.get("env")?.get(request.variable));
        if own.is_some() {
            continue;
        }
        // A secret that the operator set in the environment takes precedence over the file.
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
        // Bytes above the last whole multiple of the alphabet's length would favour its first characters.
        let limit = u8::try_from(256 / ALPHABET.len() * ALPHABET.len() - 1).unwrap_or(u8::MAX);
        let fair = bytes[..count].iter().filter(|byte| **byte <= limit);
        text.extend(fair.map(|byte| char::from(ALPHABET[*byte as usize % ALPHABET.len()])).take(LENGTH - text.len()));
    }
    Ok(text)
}
