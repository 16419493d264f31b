//! What is found in the code that a build made: variables that are read, secrets that must not be there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Built, Variables};
use crate::build::PUBLIC_PREFIX;

/// How code reads a variable.
const READ: &str = "process.env.";
/// The beginnings of variables of the framework, of its compiler and of other hosts, which it looks at by itself.
const OF_THE_FRAMEWORK: [&str; 13] = [
    "NEXT_",
    "__NEXT",
    "NODE_",
    "VERCEL",
    "TURBOPACK",
    "NX_",
    "JEST_",
    "TEST_",
    "DEBUG",
    "REACT_",
    "IS_NEXT",
    "SUSPENSE_CACHE_",
    "ANALYZE",
];
/// Variables that every process has.
const COMMON: [&str; 12] =
    ["PORT", "HOSTNAME", "HOME", "PATH", "TERM", "CI", "TZ", "LANG", "PWD", "USER", "NODE_ENV", "KEEP_ALIVE_TIMEOUT"];
/// How well-known secrets begin, and how long one is at least.
const SECRETS: [(&str, usize, &str); 9] = [
    ("-----BEGIN PRIVATE KEY", 22, "a private key"),
    ("-----BEGIN RSA PRIVATE KEY", 26, "a private key"),
    ("-----BEGIN EC PRIVATE KEY", 25, "a private key"),
    ("sk_live_", 24, "a secret key of Stripe"),
    ("rk_live_", 24, "a restricted key of Stripe"),
    ("ghp_", 40, "a token of GitHub"),
    ("xoxb-", 30, "a token of Slack"),
    ("AKIA", 20, "an access key of AWS"),
    ("sk-ant-", 40, "a key of Anthropic"),
];
/// Values that are shorter than this are in too many places by chance.
const LEAST_VALUE: usize = 12;

/// Looks through the code of a build, file by file.
#[derive(Debug, Default)]
pub struct Scan {
    /// Variables that must not reach a browser, with their values.
    secrets: BTreeMap<String, String>,
    found: Scanned,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// Variables that code on the server reads.
    pub(super) server: BTreeSet<String>,
    /// Variables that scripts for browsers ask for.
    pub(super) client: BTreeSet<String>,
    /// All that looks like the name of one of the variables in question, in code on the server.
    pub(super) named: BTreeSet<String>,
    /// Names of variables whose value is in a script for browsers, with the script.
    pub(super) leaked: BTreeMap<String, String>,
    /// Kinds of well-known secrets in scripts for browsers, with the script.
    pub(super) secrets: BTreeMap<String, String>,
    /// Whether images are optimised somewhere.
    pub(super) uses_images: bool,
    /// Whether revalidation on demand is asked for.
    pub(super) revalidates: bool,
}

impl Scan {
    /// `variables` are those of the files `.env*` with their values.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let secrets = variables.into_iter().filter(|(name, value)| {
            !name.starts_with(PUBLIC_PREFIX) && value.len() >= LEAST_VALUE && !value.starts_with("http")
        });
        Self { secrets: secrets.collect(), found: Scanned::default() }
    }

    /// Looks at code that runs on the server. Names of `names` are found however they are read.
    pub fn server(&mut self, code: &str, names: &BTreeSet<String>) {
        self.found.server.extend(variables(code));
        self.named(code, names);
        self.found.revalidates |=
            [".revalidateTag)(", ".revalidatePath)(", ".updateTag)("].iter().any(|call| code.contains(call));
    }

    /// Looks for names in other sources: packages that are not bundled, schemas, configurations.
    pub fn named(&mut self, text: &str, names: &BTreeSet<String>) {
        for name in names {
            if !self.found.named.contains(name) && text.contains(name.as_str()) {
                self.found.named.insert(name.clone());
            }
        }
    }

    /// Looks at a script that browsers load.
    pub fn client(&mut self, path: &str, code: &str) {
        self.found.client.extend(variables(code));
        self.found.uses_images |= code.contains("/_next/image");
        for (name, value) in &self.secrets {
            if !self.found.leaked.contains_key(name) && code.contains(value.as_str()) {
                self.found.leaked.insert(name.clone(), path.to_owned());
            }
        }
        for (start, least, what) in SECRETS {
            let is_whole = |at: usize| {
                let rest = &code.as_bytes()[at..];
                let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_ ".contains(byte);
                rest.iter().take_while(|byte| is_plain(byte)).count() >= least
            };
            if code.match_indices(start).any(|(at, _)| is_whole(at)) {
                self.found.secrets.entry(what.to_owned()).or_insert_with(|| path.to_owned());
            }
        }
    }

    /// What was found.
    pub fn end(self) -> Scanned {
        self.found
    }
}

/// The variables that a piece of code reads, without those of the framework.
fn variables(code: &str) -> impl Iterator<Item = String> {
    let name = |(at, _)| {
        let rest = &code[at + READ.len()..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let name = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        let is_own = !name.is_empty()
            && name.chars().any(|letter| letter.is_ascii_uppercase())
            && !name.chars().next().is_some_and(|first| first.is_ascii_digit())
            && !COMMON.contains(&name)
            && (name.starts_with(PUBLIC_PREFIX) || !OF_THE_FRAMEWORK.iter().any(|start| name.starts_with(start)));
        is_own.then(|| name.to_owned())
    };
    code.match_indices(READ).filter_map(name)
}

impl Scanned {
    /// Names of variables: of code, and of the files `.env*`.
    pub(super) fn variables(&self, built: &Built) -> Variables {
        let files = built.env_files.iter();
        let files: BTreeMap<_, _> =
            files.map(|(file, names)| (file.clone(), names.iter().cloned().collect::<BTreeSet<_>>())).collect();
        let known = files.values().flatten().filter(|name| name.starts_with(PUBLIC_PREFIX));
        let is_public = |name: &&String| name.starts_with(PUBLIC_PREFIX);
        Variables {
            at_build: known.cloned().chain(built.at_build.iter().cloned()).collect(),
            at_run: self.server.iter().filter(|name| !is_public(name)).cloned().collect(),
            missing: self.client.iter().filter(is_public).cloned().collect(),
            files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_secrets_are_found() {
        let mut scan = Scan::new([
            ("DATABASE_URL".to_owned(), "postgres://me:secret@db/app".to_owned()),
            ("SHORT".to_owned(), "abc".to_owned()),
            ("NEXT_PUBLIC_NAME".to_owned(), "a name that is public".to_owned()),
        ]);
        let names = ["QUOTED".to_owned(), "UNUSED".to_owned()].into();
        scan.server("x(process.env.API_KEY,process.env.NEXT_RUNTIME,process.env[\"QUOTED\"],process.env.PORT)", &names);
        scan.client("a.js", "abc a name that is public process.env.NEXT_PUBLIC_MISSING.length");
        scan.client("b.js", "let u=\"postgres://me:secret@db/app\",k=\"sk_live_0123456789abcdefghij\",n=\"sk_live_\"");
        let found = scan.end();
        assert_eq!(found.server, ["API_KEY".to_owned()].into());
        assert_eq!(found.named, ["QUOTED".to_owned()].into());
        assert_eq!(found.client, ["NEXT_PUBLIC_MISSING".to_owned()].into());
        assert_eq!(found.leaked.into_iter().collect::<Vec<_>>(), [("DATABASE_URL".to_owned(), "b.js".to_owned())]);
        assert_eq!(found.secrets.into_keys().collect::<Vec<_>>(), ["a secret key of Stripe"]);
    }
}
