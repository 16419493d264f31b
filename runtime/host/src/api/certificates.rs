//! The certificates of an edge: which there are, how long they are good for, and what is wrong with those that are not.
//! Caddy gets and renews them, and keeps them in the data folder of the edge; what it says of failures is in a log of
//! its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_manifest::spec::OwnCertificate;
use core_manifest::{Diagnostic, Problem};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::acme_error;
use super::types::CertificateStatus;
use crate::certificates::{self, Certificate};

/// How long before its end a certificate that has not been renewed is a problem. CAs and Caddy have renewed one long
/// before: at a third of its life, or when the CA asks for that (ACME Renewal Information, RFC 9773).
pub(crate) const LATE: SignedDuration = SignedDuration::from_hours(21 * 24);
/// The longest part of the log that is read.
const LONGEST: u64 = 256 << 10;

/// What Caddy says of what it has not finished with a configuration.
const CALLED_OFF: &str = "context canceled";

/// What is asked about.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The names that are to have a certificate.
    pub(crate) names: Vec<String>,
    /// The folder in which Caddy keeps them.
    pub(crate) storage: PathBuf,
    /// The logs of the running edges.
    pub(crate) logs: Vec<PathBuf>,
    /// Certificates from files; a name that these are for has no other one.
    pub(crate) own: Vec<OwnCertificate>,
    /// The files and folders that they are from, as written in the manifest.
    pub(crate) written: Vec<String>,
    /// The stack's root.
    pub(crate) root: PathBuf,
    /// How long before its end one that is not renewed is a problem; a CA of the stack's own makes short ones.
    pub(crate) lateness: Option<SignedDuration>,
}

/// The state of each certificate, and problems. Reads files, and may block.
pub(crate) fn look(question: &Question, now: Timestamp) -> (Vec<CertificateStatus>, Vec<Problem>) {
    let found = find(&question.storage);
    let mut failures = BTreeMap::new();
    for log in &question.logs {
        read_failures(log, &mut failures);
    }
    let mut all = Vec::new();
    // What is wrong with several for the same reason is one problem.
    let mut troubles: BTreeMap<(Trouble, String), Vec<&str>> = BTreeMap::new();
    for name in &question.names {
        let own: Vec<Found> = question
            .own
            .iter()
            .filter(|own| own.is_for(name))
            .filter_map(|own| Found::at(Path::new(&own.file)))
            .collect();
        let of_ca = found.iter().filter(|(of, _)| own.is_empty() && of == name).map(|(_, one)| one);
        let best = own.iter().chain(of_ca).max_by_key(|one| one.certificate.not_after);
        // What was said before it was got is over.
        let failure = failures.get(name).filter(|failure| best.is_none_or(|one| failure.at > one.got_at));
        let why = failure.map(|failure| failure.message.clone());
        let late = question.lateness.filter(|_| best.is_some_and(Found::is_long));
        if let Some(trouble) = Trouble::of(best, failure, late, now) {
            let unknown =
                if own.is_empty() { "nothing was said of why" } else { "put a new one in the place of its file" };
            let why = why.clone().unwrap_or_else(|| unknown.to_owned());
            troubles.entry((trouble, why)).or_default().push(name);
        }
        all.push(CertificateStatus {
            name: name.clone(),
            issuer: best.map(|one| one.certificate.issuer.clone()),
            not_after: best.map(|one| one.certificate.not_after.to_string()),
            failure: why,
        });
    }
    let problems = troubles.into_iter().map(|((trouble, why), names)| trouble.problem(&names, &why));
    let faults = certificates::faults(&question.root, &question.written, now).into_iter().map(|(path, why)| {
        let help = "the one from before serves; a new one is used when it is saved";
        Diagnostic::new("bad-certificate", format!("{path} {why}")).help(help).problem()
    });
    (all, problems.chain(faults).collect())
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Missing,
    Expired,
    NotRenewed,
}

impl Trouble {
    fn of(
        best: Option<&Found>,
        failure: Option<&Failure>,
        late: Option<SignedDuration>,
        now: Timestamp,
    ) -> Option<Self> {
        let Some(best) = best else { return failure.map(|_| Self::Missing) };
        if best.certificate.not_after <= now {
            return Some(Self::Expired);
        }
        let is_late = late.is_some_and(|late| best.certificate.not_after <= now + late);
        (is_late || failure.is_some()).then_some(Self::NotRenewed)
    }

    fn problem(self, names: &[&str], why: &str) -> Problem {
        let (first, others) = (names[0], names.len() - 1);
        let of = match others {
            0 => first.to_owned(),
            1 => format!("{first} and {}", names[1]),
            _ => format!("{first} and {others} others"),
        };
        let (code, message) = match self {
            Self::Missing => ("no-certificate", format!("no certificate for {of}: {why}")),
            Self::Expired => ("certificate-expired", format!("the certificate of {of} has expired: {why}")),
            Self::NotRenewed => ("certificate-not-renewed", format!("the certificate of {of} is not renewed: {why}")),
        };
        Diagnostic::new(code, message)
            .help("traffic goes on; the edge tries again by itself, ever more rarely")
            .problem()
    }
}

/// A certificate, and when it was written here: CAs date back.
struct Found {
    certificate: Certificate,
    got_at: Timestamp,
}

impl Found {
    fn at(file: &Path) -> Option<Self> {
        let certificate = Certificate::read(&fs::read(file).ok()?)?;
        let got_at = fs::metadata(file).ok()?.modified().ok().and_then(|time| Timestamp::try_from(time).ok())?;
        Some(Self { certificate, got_at })
    }

    /// Whether it was made for longer than the time before its end that is late.
    fn is_long(&self) -> bool {
        let life = self.certificate.not_after.duration_since(self.certificate.not_before);
        life > LATE * 2
    }
}

/// All certificates that Caddy keeps, by the name that each is for: `certificates/<ca>/<name>/<name>.crt`.
fn find(storage: &Path) -> Vec<(String, Found)> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = entries(&storage.join("certificates")).flat_map(|ca| entries(&ca).collect::<Vec<_>>());
    let one = |folder: PathBuf| {
        let name = folder.file_name()?.to_str()?.to_owned();
        let found = Found::at(&folder.join(format!("{name}.crt")))?;
        // A wildcard's star is no letter of a file name.
        Some((name.replace("wildcard_", "*"), found))
    };
    folders.filter_map(one).collect()
}

/// What Caddy said when it failed to get a certificate.
struct Failure {
    at: Timestamp,
    message: String,
}

/// Reads the last failure of each name in a log.
fn read_failures(log: &Path, failures: &mut BTreeMap<String, Failure>) {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let Ok(mut file) = fs::File::open(log) else { return };
    let length = file.metadata().map_or(0, |meta| meta.len());
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)));
    let mut text = Vec::new();
    let _ = file.take(LONGEST).read_to_end(&mut text);
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
        let word = |key: &str| line[key].as_str();
        let (Some(name), Some(error)) = (word("identifier"), word("error")) else { continue };
        // It was given another configuration, and goes on with that one.
        if error.contains(CALLED_OFF) {
            continue;
        }
        let seconds = line["ts"].as_f64().map(Duration::try_from_secs_f64).and_then(Result::ok);
        let at = seconds.and_then(|since| Timestamp::UNIX_EPOCH.checked_add(since).ok());
        let Some(at) = at else { continue };
        let message = acme_error::sentence(name, word("issuer").unwrap_or_default(), error);
        failures.insert(name.to_owned(), Failure { at, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_is_one_problem() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("tls.log");
        let line = |name: &str, error: &str| {
            serde_json::json!({"ts": 1_795_825_280.7, "logger": "tls.obtain", "msg": "could not get certificate from issuer",
                "identifier": name, "issuer": "ca.test-dir", "error": error})
            .to_string()
        };
        let refused = "performing request: dial tcp 127.0.0.1:14999: connect: connection refused";
        let lines = [
            line("a.test", "old"),
            line("a.test", refused),
            line("b.test", refused),
            line("c.test", "locking account registration: context canceled"),
            "no JSON".into(),
        ];
        fs::write(&log, lines.join("\n")).unwrap();
        let names = ["a.test", "b.test", "c.test"].map(str::to_owned).to_vec();
        let lateness = Some(LATE);
        let (storage, root) = (folder.path().to_owned(), folder.path().to_owned());
        let question =
            Question { names, storage, logs: vec![log], own: Vec::new(), written: Vec::new(), root, lateness };
        let (all, problems) = look(&question, Timestamp::now());
        assert_eq!(all.len(), 3);
        assert!(all[0].failure.is_some() && all[2].failure.is_none());
        // What nobody has complained of is under way.
        assert_eq!(problems.len(), 1);
        let said = "no certificate for a.test and b.test: the CA ca.test is not reached: connection refused";
        assert_eq!(problems[0].message, said);
    }
}
