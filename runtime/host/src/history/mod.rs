//! `history.jsonl`: the last generations and commands of operators, for people. One line is added when an operation
//! starts and one when it ends, each with a single write. core does not rely on it, so it is never synced, and a line
//! that cannot be written is logged and dropped.

mod entry;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use core_engine::record::{Begun, Cause, Outcome, Record};
use core_shim::sys;
use core_stack::Hidden;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::users;
pub use entry::{History, HistoryCause, HistoryEntry, HistoryOutcome};
pub use writer::Writer;

/// How many entries are kept.
const LIMIT: usize = 1000;
/// The longest reason, in characters; the rest is in the logs.
const LONGEST: usize = 500;

/// One line of the file, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Begun(Box<HistoryEntry>),
    Ended { id: String, time: String, outcome: HistoryOutcome },
}

impl Line {
    fn id(&self) -> &str {
        match self {
            Self::Begun(entry) => &entry.id,
            Self::Ended { id, .. } => id,
        }
    }
}

/// The history file, as a supervisor appends to it.
struct Journal {
    path: PathBuf,
    /// The prefix of this supervisor's entry names.
    supervisor: String,
    /// The number of entries in the file.
    entries: usize,
    /// Secrets, which are covered in messages.
    hidden: Hidden,
    users: BTreeMap<u32, Option<String>>,
}

impl Journal {
    /// Opens the history of a stack for a new supervisor, and cuts it if it is too long.
    fn new(paths: &Paths, supervisor: String, hidden: Hidden) -> Self {
        let mut history = Self { path: paths.history(), supervisor, entries: 0, hidden, users: BTreeMap::new() };
        history.entries = entries(&history.path, None).len();
        if history.entries > LIMIT {
            history.cut();
        }
        history
    }

    /// Writes what the engine reports about an operation.
    fn write(&mut self, record: &Record) {
        let time = format!("{:.3}", jiff::Timestamp::now());
        let line = match record {
            Record::Begun(begun) => {
                self.entries += 1;
                Line::Begun(Box::new(self.entry(begun, time)))
            }
            Record::Ended { operation, outcome } => {
                Line::Ended { id: self.id(*operation), time, outcome: self.outcome(outcome) }
            }
        };
        let text = serde_json::to_string(&line).map_err(io::Error::other);
        let written = text.and_then(|text| append(&self.path, &text));
        if let Err(error) = written {
            tracing::warn!("history.jsonl cannot be written: {error}");
        }
        if self.entries > 2 * LIMIT {
            self.cut();
        }
    }

    fn id(&self, operation: u64) -> String {
        format!("{}.{operation}", self.supervisor)
    }

    fn entry(&mut self, begun: &Begun, time: String) -> HistoryEntry {
        let command = &begun.command;
        HistoryEntry {
            id: self.id(begun.operation),
            time,
            ended: None,
            verb: command.verb().into(),
            services: command.services().iter().map(ToString::to_string).collect(),
            replicas: command.replicas(),
            release: command.release().map(str::to_owned),
            message: command.message().map(str::to_owned),
            by: self.cause(begun.by),
            from: begun.from,
            generation: (begun.to != begun.from).then_some(begun.to),
            changes: begun.changes.iter().map(|(name, planned)| (name.to_string(), planned.clone())).collect(),
            outcome: HistoryOutcome::UnderWay,
        }
    }

    fn cause(&mut self, by: Cause) -> HistoryCause {
        let (kind, uid) = match by {
            Cause::User(uid) => ("user", uid),
            Cause::Start => ("start", None),
            Cause::Supervisor => ("supervisor", None),
            Cause::Source => ("source", None),
            Cause::Edit => ("edit", None),
            Cause::Failure => ("failure", None),
            Cause::Age => ("age", None),
            Cause::Certificate => ("certificate", None),
            Cause::Signal => ("signal", None),
        };
        let user = uid.and_then(|uid| self.users.entry(uid).or_insert_with(|| users::name(uid)).clone());
        HistoryCause { kind: kind.into(), uid, user }
    }

    fn outcome(&self, outcome: &Outcome) -> HistoryOutcome {
        match outcome {
            Outcome::Done => HistoryOutcome::Done,
            Outcome::Failed { message, culprit } => {
                // A probe's answer may contain anything, even a secret.
                let message = self.hidden.cover(message);
                let message = message.chars().take(LONGEST).collect();
                HistoryOutcome::Failed { message, culprit: culprit.as_ref().map(ToString::to_string) }
            }
            Outcome::Replaced { by } => HistoryOutcome::Replaced { by: *by },
        }
    }

    /// Keeps only the last entries, and drops lines that are not entries.
    fn cut(&mut self) {
        match cut(&self.path, LIMIT) {
            Ok(left) => self.entries = left,
            Err(error) => {
                tracing::warn!("history.jsonl cannot be cut: {error}");
                // Cutting is tried again after another `LIMIT` entries.
                self.entries = LIMIT;
            }
        }
    }
}

/// A name that no supervisor of this stack has had before.
fn supervisor() -> String {
    format!("{:x}-{}", sys::wall_ns(), std::process::id())
}

/// Reads the entries, the oldest first. Only entries of the supervisor `living` may still be under way.
pub fn read(paths: &Paths, living: Option<&str>) -> Vec<HistoryEntry> {
    select(entries(&paths.history(), living), &[], Some(LIMIT))
}

/// The last entries that concern any of these services, or all entries if none is named.
pub fn select(mut entries: Vec<HistoryEntry>, services: &[String], last: Option<usize>) -> Vec<HistoryEntry> {
    entries.retain(|entry| services.is_empty() || services.iter().any(|service| entry.concerns(service)));
    let spare = entries.len().saturating_sub(last.unwrap_or(usize::MAX));
    entries.split_off(spare)
}

fn entries(path: &Path, living: Option<&str>) -> Vec<HistoryEntry> {
    let bytes = fs::read(path).unwrap_or_default();
    let mut all: Vec<HistoryEntry> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (line, _) in lines(&bytes) {
        match line {
            Line::Begun(mut entry) => {
                let is_open = entry.id.split_once('.').is_some_and(|(supervisor, _)| living == Some(supervisor));
                entry.outcome = if is_open { HistoryOutcome::UnderWay } else { HistoryOutcome::CutShort };
                places.insert(entry.id.clone(), all.len());
                all.push(*entry);
            }
            Line::Ended { id, time, outcome } => {
                if let Some(entry) = places.remove(&id).and_then(|at| all.get_mut(at)) {
                    entry.outcome = outcome;
                    entry.ended = Some(time);
                }
            }
        }
    }
    all
}

/// The lines that can be parsed, each with its bytes. Incomplete and unknown lines are skipped.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (Line, &[u8])> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| Some((serde_json::from_slice(line).ok()?, line)))
}

/// Adds a line to a file, and ends one that was cut off.
///
/// # Errors
/// The error of the file system.
pub(crate) fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    // End an incomplete last line first, so that the new line is not lost with it.
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let text = if last == [b'\n'] { format!("{line}\n") } else { format!("\n{line}\n") };
    let written = file.write(text.as_bytes())?;
    if written < text.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
}

fn cut(path: &Path, limit: usize) -> io::Result<usize> {
    let bytes = fs::read(path)?;
    let begun = |(line, _): (Line, &[u8])| matches!(line, Line::Begun(_)).then(|| line.id().to_owned());
    let ids: Vec<String> = lines(&bytes).filter_map(begun).collect();
    let kept: BTreeSet<&str> = ids[ids.len().saturating_sub(limit)..].iter().map(String::as_str).collect();
    let mut text = Vec::new();
    for (_, raw) in lines(&bytes).filter(|(line, _)| kept.contains(line.id())) {
        text.extend_from_slice(raw);
        text.push(b'\n');
    }
    let beside = path.with_extension("jsonl.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&text)?;
    fs::rename(&beside, path)?;
    Ok(kept.len())
}

#[cfg(test)]
mod tests {
    use core_engine::Generation;

    use super::*;

    fn begun(history: &mut Journal, operation: u64) {
        let begun = Begun {
            operation,
            command: core_engine::event::Command::Down,
            by: Cause::User(Some(0)),
            from: Generation(operation),
            to: Generation(operation),
            changes: BTreeMap::new(),
        };
        history.write(&Record::Begun(Box::new(begun)));
    }

    fn done(history: &mut Journal, operation: u64) {
        history.write(&Record::Ended { operation, outcome: Outcome::Done });
    }

    fn stack() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".core-stack")).unwrap();
        let paths = Paths::look(folder.path()).unwrap();
        (folder, paths)
    }

    #[test]
    fn what_is_too_much_is_cut_from_the_beginning() {
        let (_folder, paths) = stack();
        let mut history = Journal::new(&paths, supervisor(), Hidden::default());
        let count = || fs::read_to_string(paths.history()).unwrap().lines().count();
        for operation in 1..=2 * LIMIT as u64 {
            begun(&mut history, operation);
            done(&mut history, operation);
        }
        assert_eq!(count(), 4 * LIMIT);
        assert_eq!(read(&paths, None).len(), LIMIT);
        begun(&mut history, 5000);
        assert_eq!(count(), 2 * LIMIT - 1);
        let all = read(&paths, Some(&history.supervisor));
        assert_eq!(all.len(), LIMIT);
        assert_eq!((all[0].from, all[0].outcome.clone()), (Generation(LIMIT as u64 + 2), HistoryOutcome::Done));
        assert_eq!(all[LIMIT - 1].outcome, HistoryOutcome::UnderWay);
        // The next supervisor cuts the file when it starts.
        for operation in 6000..6010 {
            begun(&mut history, operation);
        }
        Journal::new(&paths, supervisor(), Hidden::default());
        assert_eq!(read(&paths, None)[0].from, Generation(LIMIT as u64 + 12));
        assert_eq!(count(), 2 * LIMIT - 11);
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(paths.history()).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let (_folder, paths) = stack();
        let mut history = Journal::new(&paths, supervisor(), Hidden::default());
        begun(&mut history, 1);
        done(&mut history, 1);
        let whole = fs::read(paths.history()).unwrap();
        for length in 0..whole.len() {
            fs::write(paths.history(), &whole[..length]).unwrap();
            let mut history = Journal::new(&paths, supervisor(), Hidden::default());
            begun(&mut history, 2);
            let all = read(&paths, Some(&history.supervisor));
            assert_eq!(all.last().unwrap().outcome, HistoryOutcome::UnderWay, "{length}");
            assert!(all[..all.len() - 1].iter().all(|entry| entry.id.ends_with(".1")), "{length}");
        }
        fs::write(paths.history(), [b"\xff\xfe\n{}\n[1]\n".as_slice(), &whole].concat()).unwrap();
        assert_eq!(read(&paths, None)[0].outcome, HistoryOutcome::Done);
    }

    #[test]
    fn what_cannot_be_written_harms_nothing() {
        let (_folder, paths) = stack();
        fs::create_dir(paths.history()).unwrap();
        let mut history = Journal::new(&paths, supervisor(), Hidden::default());
        begun(&mut history, 1);
        assert!(read(&paths, None).is_empty());
    }

    #[test]
    fn a_secret_is_covered_wherever_it_stands() {
        let (_folder, paths) = stack();
        let mut history = Journal::new(&paths, supervisor(), Hidden::of(&["hush-hush".into()]));
        let message = format!("said hush-hush, and more: {}", "x".repeat(2 * LONGEST));
        begun(&mut history, 1);
        history.write(&Record::Ended { operation: 1, outcome: Outcome::Failed { message, culprit: None } });
        let text = fs::read_to_string(paths.history()).unwrap();
        assert!(!text.contains("hush") && text.contains("said ********"), "{text}");
        assert!(text.len() < 3 * LONGEST, "{}", text.len());
    }
}
