//! Programs of the machine: found in PATH as a shell does it, and asked for their versions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use core_engine::Topology;
use core_manifest::Template;
use core_manifest::spec::BinaryRef;
use core_stack::Sources;
use semver::{Version, VersionReq};

use crate::trust::Trust;
use crate::which::find_program;

/// How long a program may take to report its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Caches the versions that programs reported.
#[derive(Debug, Default)]
pub(super) struct Programs {
    versions: HashMap<(PathBuf, Option<SystemTime>), Result<String, String>>,
}

impl Programs {
    /// Finds a program in PATH that is trusted and has a matching version.
    pub(super) fn on_path(
        &mut self,
        sources: &Sources,
        name: &str,
        wanted: Option<&str>,
        needs_npm: bool,
        asking: &Asking<'_>,
    ) -> Result<BinaryRef, String> {
        let path = find_program(name, sources.env.get("PATH").map(String::as_str))
            .ok_or_else(|| format!("there is no `{name}` in PATH"))?;
        asking.trust.check_program(&path)?;
        if needs_npm && super::npm_cli(&path).is_none() {
            return Err(format!("{} has no npm beside it", path.display()));
        }
        let version = match wanted {
            None => String::new(),
            // A mere look runs nothing that a manifest names by path; programs in PATH are the user's own.
            Some(_) if !asking.runs_programs && name.contains('/') && !is_in_path(sources, &path) => String::new(),
            Some(wanted) => {
                let requirement = VersionReq::parse(wanted)
                    .map_err(|error| format!("`{wanted}` is not a version requirement ({error})"))?;
                let said = self.version_of(&path)?;
                let version =
                    first_version(&said).ok_or_else(|| format!("{} does not say its version", path.display()))?;
                if !requirement.matches(&version) {
                    return Err(format!("{} is version {version}, {wanted} is wanted", path.display()));
                }
                version.to_string()
            }
        };
        Ok(BinaryRef { folder: None, path: path.display().to_string(), version, source: "path".into() })
    }

    fn version_of(&mut self, path: &Path) -> Result<String, String> {
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let key = (path.to_owned(), changed);
        if let Some(known) = self.versions.get(&key) {
            return known.clone();
        }
        let said = ask_version(path);
        self.versions.insert(key, said.clone());
        said
    }
}

/// Which programs may be run for their version, and which are trusted.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// Whether to run programs that a manifest names by a path.
    pub(crate) runs_programs: bool,
    pub(crate) trust: &'a Trust,
}

fn is_in_path(sources: &Sources, program: &Path) -> bool {
    let path = sources.env.get("PATH").map(String::as_str).unwrap_or_default();
    program.parent().is_some_and(|folder| path.split(':').any(|one| Path::new(one) == folder))
}

/// The output of `--version`.
fn ask_version(path: &Path) -> Result<String, String> {
    ask(path, &["--version"]).map(|said| said.text)
}

/// The output of a program.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its standard output, then its standard error.
    pub(crate) text: String,
    /// Whether it exited with code 0.
    pub(crate) is_well: bool,
}

/// Runs a program and returns its output.
///
/// # Errors
/// It cannot be executed, or was killed because it took too long; the message names it.
pub(crate) fn ask(program: &Path, args: &[&str]) -> Result<Said, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} cannot be executed: {error}", program.display()))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::spawn(move || {
        use std::io::Read as _;
        let mut text = String::new();
        if let Some(mut stdout) = stdout {
            let _ = stdout.read_to_string(&mut text);
        }
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        let _ = sender.send(text);
    });
    let said = receiver.recv_timeout(PATIENCE);
    if said.is_err() {
        let _ = child.kill();
    }
    let is_well = child.wait().is_ok_and(|status| status.success());
    said.map(|text| Said { text, is_well })
        .map_err(|_| format!("{} {} says nothing for {} s", program.display(), args.join(" "), PATIENCE.as_secs()))
}

/// The first word in a text that looks like a version: `v20.20.2`, `go1.26.0`, `1.2`.
pub(crate) fn first_version(text: &str) -> Option<Version> {
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ':'));
    words.find_map(|word| parse_version(word.trim_start_matches("go").trim_start_matches(['v', 'V'])))
}

fn parse_version(word: &str) -> Option<Version> {
    if !word.starts_with(|c: char| c.is_ascii_digit()) || !word.contains('.') {
        return None;
    }
    let (numbers, rest) = match word.find(['-', '+']) {
        Some(at) => word.split_at(at),
        None => (word, ""),
    };
    let mut parts: Vec<&str> = numbers.split('.').collect();
    parts.truncate(3);
    while parts.len() < 3 {
        parts.push("0");
    }
    Version::parse(&format!("{}{rest}", parts.join("."))).ok()
}

/// A relative command is below the root; if missing there, one in the service's working directory is used.
pub(crate) fn find_in_working_dirs(topology: &mut Topology, root: &Path) {
    for spec in topology.services.values_mut().filter(|spec| !spec.shell) {
        let Some(command) = spec.command.known_text().map(PathBuf::from) else { continue };
        let (Ok(relative), Some(folder)) = (command.strip_prefix(root), spec.working_dir.known_text()) else {
            continue;
        };
        let meant = Path::new(&folder).join(relative);
        if !command.exists() && meant.exists() {
            let meant = Template::literal(meant.display().to_string());
            std::sync::Arc::make_mut(spec).command = meant;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("v20.20.2\n", "20.20.2"),
            ("nats-server: v2.15.1", "2.15.1"),
            ("pocketbase version 0.40.6", "0.40.6"),
            ("v2.11.7 h1:abc=", "2.11.7"),
            ("Python 3.11", "3.11.0"),
            ("go version go1.26.0 linux/amd64", "1.26.0"),
            ("tool (GNU x) 1.2.3.4", "1.2.3"),
            ("x 1.0.0-rc.1+b", "1.0.0-rc.1+b"),
        ] {
            assert_eq!(first_version(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        assert_eq!(first_version("no version here, not 7 even"), None);
    }
}
