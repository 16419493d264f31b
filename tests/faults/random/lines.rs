//! The lines of `chatty`, as they stand in its log segments; read once, as they grow.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::role;
use super::tried::Tried;

/// What was said by each invocation of a service.
pub(crate) struct Lines {
    folder: PathBuf,
    streams: BTreeMap<String, Said>,
    broken: Vec<String>,
}

/// One invocation, by the beginning of the names of its segments.
#[derive(Default)]
struct Said {
    /// The segment that is read, and how far.
    segment: u32,
    offset: u64,
    /// What came after the last end of a line.
    rest: Vec<u8>,
    /// What its first line says.
    mark: String,
    /// How many numbered lines there are.
    count: u64,
    is_broken: bool,
}

impl Lines {
    /// Of a service.
    pub(crate) fn new(stack: &Tried, service: &str) -> Self {
        let folder = stack.root.join(".core-stack/logs").join(service);
        Self { folder, streams: BTreeMap::new(), broken: Vec::new() }
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self) {
        for slot in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            for file in fs::read_dir(slot.path()).into_iter().flatten().flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if let Some(prefix) = name.strip_suffix(".out.0.log") {
                    let key = format!("{}/{prefix}", slot.file_name().to_string_lossy());
                    self.streams.entry(key).or_default();
                }
            }
        }
        for (name, said) in &mut self.streams {
            said.read(name, &self.folder, &mut self.broken);
        }
    }

    /// What was torn, missing, or there twice, so far.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// How many lines there are of the invocation with this mark.
    pub(crate) fn count(&self, mark: &str) -> u64 {
        self.streams.values().find(|said| said.mark == mark).map_or(0, |said| said.count)
    }

    /// How many lines there are in all.
    pub(crate) fn total(&self) -> u64 {
        self.streams.values().map(|said| said.count).sum()
    }

    /// The marks of all invocations that have said something.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &str> {
        self.streams.values().map(|said| said.mark.as_str()).filter(|mark| !mark.is_empty())
    }
}

/// The mark that an invocation has said in its first line: `<service>/<slot>/<generation>.<invocation>` names it.
pub(crate) fn mark_of(logs: &Path, prefix: &str) -> Option<String> {
    let mut head = [0; 256];
    let count = File::open(logs.join(format!("{prefix}.out.0.log"))).ok()?.read(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head[..count]).into_owned();
    Some(text.lines().next()?.strip_prefix("begin ")?.to_owned())
}

impl Said {
    fn read(&mut self, name: &str, folder: &Path, broken: &mut Vec<String>) {
        while !self.is_broken {
            let path = |segment: u32| folder.join(format!("{name}.out.{segment}.log"));
            // Looked for first: when there is another, nothing more comes into this one.
            let is_over = path(self.segment + 1).exists();
            let mut bytes = Vec::new();
            let read = File::open(path(self.segment)).and_then(|mut file| {
                file.seek(SeekFrom::Start(self.offset))?;
                file.read_to_end(&mut bytes)
            });
            if read.is_err() {
                return;
            }
            self.offset += bytes.len() as u64;
            self.take(&bytes, name, broken);
            if !is_over {
                return;
            }
            (self.segment, self.offset) = (self.segment + 1, 0);
        }
    }

    fn take(&mut self, bytes: &[u8], name: &str, broken: &mut Vec<String>) {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        for line in whole[..end].split(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            if self.mark.is_empty() {
                match text.strip_prefix("begin ") {
                    Some(mark) => mark.clone_into(&mut self.mark),
                    None => self.breaks(&text, name, broken),
                }
            } else if text == role::line(&self.mark, self.count) {
                self.count += 1;
            } else {
                self.breaks(&text, name, broken);
            }
            if self.is_broken {
                return;
            }
        }
    }

    /// The first line that is not the one that was to come; of what follows nothing can be told.
    fn breaks(&mut self, text: &str, name: &str, broken: &mut Vec<String>) {
        self.is_broken = true;
        let shown: String = text.chars().take(80).collect();
        broken.push(format!(
            "{name}: segment {}: line {} was to come, and {shown:?} stands there",
            self.segment, self.count
        ));
    }
}
