//! Which source gives each binary, and where it will stand: decided without fetching anything.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use core_manifest::manifest::{Binary, Source};
use core_manifest::spec::BinaryRef;
use core_manifest::{Diagnostic, Identifier, ServiceName};
use semver::{Version, VersionReq};

use super::{Draft, Drafts, Sources, hash_of_inputs};
use crate::paths::Paths;

/// How long a program may take to say its version.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// Where everything is or will be.
#[derive(Clone, Debug, Default)]
pub struct Located {
    binaries: BTreeMap<ServiceName, BTreeMap<Identifier, BinaryRef>>,
    /// How each folder of `.dep/` is to be made.
    pub wanted: BTreeMap<String, Wanted>,
    /// Releases of services that have one.
    pub releases: BTreeMap<ServiceName, String>,
}

/// How a folder of `.dep/` is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Name of the binary.
    pub binary: String,
    /// The source that gives it.
    pub source: Source,
    /// Which of the binary's sources that is, from 0.
    pub index: usize,
    /// How many sources the binary has.
    pub sources: usize,
    /// Why the sources before it do not give it.
    pub earlier: Vec<String>,
    /// The version, or the hash.
    pub version: String,
    /// For a build: the program it is built with, and the folder of `.dep/` that must have landed first.
    pub tool: Option<(PathBuf, Option<String>)>,
    /// Program inside the folder, relative to it; `None` for a build that is a folder.
    pub program: Option<String>,
}

/// Remembers what programs say of their versions.
#[derive(Debug, Default)]
pub struct Locator {
    versions: HashMap<(PathBuf, Option<SystemTime>), Result<String, String>>,
}

impl Located {
    /// What `${dep.NAME}` stands for in a service.
    pub(super) fn paths(&self, service: &ServiceName) -> BTreeMap<String, String> {
        self.of(service).into_iter().map(|(name, binary)| (name.to_string(), binary.path)).collect()
    }

    /// The binaries of a service.
    pub(super) fn of(&self, service: &ServiceName) -> BTreeMap<Identifier, BinaryRef> {
        self.binaries.get(service).cloned().unwrap_or_default()
    }
}

/// This platform, as lock files and `platform` name it.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

impl Locator {
    /// Chooses a source for each binary of each service.
    pub(super) fn locate(
        &mut self,
        paths: &Paths,
        drafts: &Drafts,
        sources: &Sources,
        failed: &BTreeMap<(String, usize), String>,
        out: &mut Vec<Diagnostic>,
    ) -> Located {
        let mut located = Located::default();
        let mut defined: BTreeMap<String, (&ServiceName, &Binary)> = BTreeMap::new();
        for (service, draft) in &drafts.services {
            // A build is made with a program of the same service, so programs come first.
            let (builds, programs): (Vec<_>, Vec<_>) =
                draft.outline.binaries.iter().enumerate().partition(|(_, binary)| {
                    binary.sources.iter().any(|source| matches!(source, Source::NextBuild { .. }))
                });
            for (position, binary) in programs.into_iter().chain(builds) {
                let at = draft.node.span_at(&["binaries", &position.to_string()]);
                let name = match Identifier::new(&binary.name) {
                    Ok(name) => name,
                    Err(rule) => {
                        out.push(
                            Diagnostic::new("bad-name", format!("the binary name `{}` {rule}", binary.name))
                                .at(at)
                                .service(service.as_str()),
                        );
                        continue;
                    }
                };
                if let Some((other, first)) = defined.get(&binary.name)
                    && first.sources != binary.sources
                {
                    let message = if *other == service {
                        format!("`{service}` has two binaries `{name}` with different sources")
                    } else {
                        format!("binary `{name}` of `{service}` has other sources than that of `{other}`")
                    };
                    out.push(
                        Diagnostic::new("two-binaries", message)
                            .at(at)
                            .service(service.as_str())
                            .help("one name is one program: give one of them another name"),
                    );
                    continue;
                }
                defined.insert(binary.name.clone(), (service, binary));
                let mut reasons = Vec::new();
                let chosen = binary.sources.iter().enumerate().find_map(|(index, source)| {
                    let tried = match failed.get(&(binary.name.clone(), index)) {
                        Some(reason) => Err(reason.clone()),
                        None => self.source(paths, sources, draft, &located.of(service), binary, index, source),
                    };
                    tried.map_err(|reason| reasons.push(format!("{}: {reason}", source.word()))).ok()
                });
                // What is named stands somewhere even when it is not there, so that nothing else is complained of.
                let placeholder = || BinaryRef {
                    folder: None,
                    path: binary.name.clone(),
                    version: String::new(),
                    source: String::new(),
                };
                let chosen = chosen.unwrap_or_else(|| {
                    out.push(
                        Diagnostic::new(
                            "no-binary",
                            format!("binary `{name}` of `{service}` cannot be had: {}", reasons.join("; ")),
                        )
                        .at(at)
                        .service(service.as_str())
                        .help("install it, or add another source"),
                    );
                    (placeholder(), None)
                });
                let (reference, wanted) = chosen;
                if let (Some(folder), Some(mut wanted)) = (&reference.folder, wanted) {
                    wanted.earlier = reasons;
                    if matches!(wanted.source, Source::NextBuild { .. }) {
                        located.releases.insert(service.clone(), wanted.version.clone());
                    }
                    located.wanted.insert(folder.clone(), wanted);
                }
                located.binaries.entry(service.clone()).or_default().insert(name, reference);
            }
        }
        located
    }

    /// What a source gives, or why it does not.
    fn source(
        &mut self,
        paths: &Paths,
        sources: &Sources,
        draft: &Draft,
        siblings: &BTreeMap<Identifier, BinaryRef>,
        binary: &Binary,
        index: usize,
        source: &Source,
    ) -> Result<(BinaryRef, Option<Wanted>), String> {
        let wanted = |version: &str, program: Option<String>, tool| Wanted {
            binary: binary.name.clone(),
            source: source.clone(),
            index,
            sources: binary.sources.len(),
            earlier: Vec::new(),
            version: version.to_owned(),
            tool,
            program,
        };
        let in_dep = |version: &str, program: Option<&str>| {
            let folder = format!("{}-{version}", binary.name);
            let path = paths.dep().join(&folder);
            let path = program.map_or(path.clone(), |program| path.join(program));
            BinaryRef {
                path: path.display().to_string(),
                folder: Some(folder),
                version: version.to_owned(),
                source: source.word().to_owned(),
            }
        };
        match source {
            Source::Path { program, version } => {
                let builds = draft
                    .outline
                    .binaries
                    .iter()
                    .any(|other| other.sources.iter().any(|source| matches!(source, Source::NextBuild { .. })));
                let needs_npm = binary.name == "node" && builds;
                let name = program.as_deref().unwrap_or(&binary.name);
                self.on_path(sources, name, version.as_deref(), needs_npm).map(|found| (found, None))
            }
            Source::Url { version, file, platform: only, sha256, url } => {
                if let Some(only) = only
                    && *only != platform()
                {
                    return Err(format!("it is for {only}, this is {}", platform()));
                }
                let is_hash = sha256.len() == 64 && sha256.chars().all(|digit| digit.is_ascii_hexdigit());
                if !is_hash {
                    return Err("`sha256` is no SHA-256: 64 hexadecimal digits".into());
                }
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    return Err(format!("`{url}` is neither http nor https"));
                }
                let program = file.clone().unwrap_or_else(|| binary.name.clone());
                Ok((in_dep(version, Some(&program)), Some(wanted(version, Some(program.clone()), None))))
            }
            Source::Pypi { version, file, .. } => {
                let program = file.clone().unwrap_or_else(|| format!("bin/{}", binary.name));
                Ok((in_dep(version, Some(&program)), Some(wanted(version, Some(program.clone()), None))))
            }
            Source::NextBuild { path } => {
                let node = Identifier::new("node").ok().and_then(|name| siblings.get(&name));
                let Some(node) = node.filter(|node| !node.source.is_empty()) else {
                    return Err("it is built with the binary `node` of the same service, and there is none".into());
                };
                let app = paths.root.join(path);
                if !app.join("package.json").is_file() {
                    return Err(format!("{path} is no app: it has no package.json"));
                }
                let major = node.version.split('.').next().unwrap_or_default();
                let hash = hash_of_inputs(&app, core_next::is_input, &["next-build 1", major, core_next::ADAPTER])
                    .map_err(|error| paths.shown(Path::new(&error.to_string())))?;
                let tool = Some((PathBuf::from(&node.path), node.folder.clone()));
                Ok((in_dep(&hash, None), Some(wanted(&hash, None, tool))))
            }
        }
    }

    /// A program of the machine, when its version will do.
    fn on_path(
        &mut self,
        sources: &Sources,
        name: &str,
        wanted: Option<&str>,
        needs_npm: bool,
    ) -> Result<BinaryRef, String> {
        let path = find_program(name, sources.env.get("PATH").map(String::as_str))
            .ok_or_else(|| format!("there is no `{name}` in PATH"))?;
        if needs_npm && crate::deps::npm_cli(&path).is_none() {
            return Err(format!("{} has no npm beside it", path.display()));
        }
        let version = match wanted {
            None => String::new(),
            Some(wanted) => {
                let requirement = VersionReq::parse(wanted)
                    .map_err(|error| format!("`{wanted}` is no version requirement ({error})"))?;
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

/// What a program prints for `--version`.
fn ask_version(path: &Path) -> Result<String, String> {
    let mut child = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} cannot be executed: {error}", path.display()))?;
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
    let said = receiver.recv_timeout(VERSION_PATIENCE);
    if said.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    said.map_err(|_| format!("{} --version says nothing for {} s", path.display(), VERSION_PATIENCE.as_secs()))
}

/// The first thing in a text that looks like a version: `v20.20.2`, `1.2`.
fn first_version(text: &str) -> Option<Version> {
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ':'));
    words.find_map(|word| parse_version(word.trim_start_matches(['v', 'V'])))
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

/// Looks a program up as a shell does.
pub fn find_program(name: &str, path: Option<&str>) -> Option<PathBuf> {
    let is_program = |path: &Path| path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let folders = path.unwrap_or("/usr/local/bin:/usr/bin:/bin").split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join(name)).find(|path| is_program(path))
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
            ("tool (GNU x) 1.2.3.4", "1.2.3"),
            ("x 1.0.0-rc.1+b", "1.0.0-rc.1+b"),
        ] {
            assert_eq!(first_version(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        assert_eq!(first_version("no version here, not 7 even"), None);
    }
}
