//! Chooses the source of each binary and its path, without fetching anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use core_manifest::manifest::{Binary, Source};
use core_manifest::spec::BinaryRef;
use core_manifest::{Diagnostic, Identifier, ServiceName};
use core_stack::{Building, Draft, Drafts, Located, Sources, Wanted};
use semver::Version;

use super::names::{is_package, is_python_package, is_version};
use super::npm::npm_cli;
use super::parts::Parts;
use super::program::{Asking, Programs};
use crate::paths::Paths;
use crate::which::find_program;

/// Chooses sources, and caches the versions that programs reported.
#[derive(Debug, Default)]
pub struct Locator {
    programs: Programs,
    /// Binaries that no source provided at the last attempt, and why.
    refused: BTreeMap<String, String>,
}

/// The name of this platform in lock files and in `platform`: `linux-x86_64`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

impl Locator {
    /// Binaries that no source provided at the last attempt, and why.
    pub fn all_refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Chooses a source for each binary of each service.
    pub(crate) fn locate(
        &mut self,
        paths: &Paths,
        drafts: &Drafts,
        sources: &Sources,
        failed: &BTreeMap<(String, usize), String>,
        release: FindRelease<'_>,
        asking: &Asking<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Located {
        self.refused.clear();
        let mut located = Located::default();
        let mut defined: BTreeMap<String, (&ServiceName, &Binary)> = BTreeMap::new();
        for (service, draft) in &drafts.services {
            // What is made with a program of the same service is chosen after that program.
            let (builds, programs): (Vec<_>, Vec<_>) = draft
                .head
                .binaries
                .iter()
                .enumerate()
                .partition(|(_, binary)| binary.sources.iter().any(Source::is_made_by_node));
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
                let is_release = binary.sources.iter().any(|source| matches!(source, Source::NextBuild { .. }));
                // Apps stand in a folder of their service, whatever their binary is called.
                let is_of_app = binary.sources.iter().any(|source| source.app().is_some());
                if let Some((other, first)) = defined.get(&binary.name).filter(|_| !is_of_app)
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
                if !is_of_app {
                    defined.insert(binary.name.clone(), (service, binary));
                }
                let mut reasons = Vec::new();
                let chosen = binary.sources.iter().enumerate().find_map(|(index, source)| {
                    let tried = match failed.get(&(binary.name.clone(), index)) {
                        Some(reason) => Err(reason.clone()),
                        None => match source.app() {
                            Some(_) => release_of(service, &located.of(service), binary, index, source, release),
                            None => {
                                self.source(paths, sources, draft, &located.of(service), binary, index, source, asking)
                            }
                        },
                    };
                    let tried =
                        tried.and_then(|found| expect_program(paths, &found.0, found.1.as_ref()).map(|()| found));
                    tried.map_err(|reason| reasons.push(format!("{}: {reason}", source.word()))).ok()
                });
                // A binary that is not available still gets a path, so that it causes no further errors.
                let placeholder = || BinaryRef {
                    folder: None,
                    path: binary.name.clone(),
                    version: String::new(),
                    source: String::new(),
                };
                let chosen = chosen.unwrap_or_else(|| {
                    let why = reasons.join("; ");
                    // If it is only unavailable because its `node` is, the error of `node` is enough.
                    if !reasons.iter().all(|reason| reason.ends_with(NO_NODE)) {
                        out.push(
                            Diagnostic::new(
                                "no-binary",
                                format!("binary `{name}` of `{service}` is not available: {why}"),
                            )
                            .at(at)
                            .service(service.as_str())
                            .help("install it, or add another source"),
                        );
                    }
                    if is_release {
                        located.releases.insert(service.clone(), String::new());
                    }
                    self.refused.insert(binary.name.clone(), why);
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

    /// The binary that a source provides, or why it does not.
    fn source(
        &mut self,
        paths: &Paths,
        sources: &Sources,
        draft: &Draft,
        siblings: &BTreeMap<Identifier, BinaryRef>,
        binary: &Binary,
        index: usize,
        source: &Source,
        asking: &Asking<'_>,
    ) -> Result<(BinaryRef, Option<Wanted>), String> {
        let wanted = |version: &str, program: Option<String>, tool| Wanted {
            binary: binary.name.clone(),
            source: source.clone(),
            index,
            sources: binary.sources.len(),
            version: version.to_owned(),
            tool,
            program,
            ..Wanted::none()
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
        // A binary that has landed does not need its tools.
        let tool = |name: &str, reference: &BinaryRef| {
            let landed = reference.folder.as_ref().is_some_and(|folder| paths.dep().join(folder).is_dir());
            match find_program(name, sources.env.get("PATH").map(String::as_str)) {
                Some(program) => Ok(Some((program, None))),
                None if landed => Ok(None),
                None => Err(format!("there is no `{name}` in PATH")),
            }
        };
        match source {
            Source::Path { program, version } => {
                let builds =
                    draft.head.binaries.iter().any(|other| other.sources.iter().any(|source| source.app().is_some()));
                let needs_npm = binary.name == "node" && builds;
                let name = program.as_deref().unwrap_or(&binary.name);
                self.programs.on_path(sources, name, version.as_deref(), needs_npm, asking).map(|found| (found, None))
            }
            Source::Url { version, file, platform: only, sha256, url } => {
                if let Some(only) = only
                    && *only != platform()
                {
                    return Err(format!("it is for {only}, this is {}", platform()));
                }
                let is_hash = sha256.len() == 64 && sha256.chars().all(|digit| digit.is_ascii_hexdigit());
                if !is_hash {
                    return Err("`sha256` is not a SHA-256: 64 hexadecimal digits".into());
                }
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    return Err(format!("`{url}` is neither http nor https"));
                }
                if !is_version(version) {
                    return Err(format!("`{version}` is not a version: letters, digits and `.`, `_`, `+`, `!`, `-`"));
                }
                let program = file.clone().unwrap_or_else(|| binary.name.clone());
                Ok((in_dep(version, Some(&program)), Some(wanted(version, Some(program.clone()), None))))
            }
            Source::Pypi { package, version, file } => {
                if !is_python_package(package) {
                    return Err(format!("`{package}` is not a package name"));
                }
                if !is_version(version) {
                    return Err(format!("`{version}` is not an exact version"));
                }
                let program = file.clone().unwrap_or_else(|| format!("bin/{}", binary.name));
                Ok((in_dep(version, Some(&program)), Some(wanted(version, Some(program.clone()), None))))
            }
            Source::Npm { package, version, file } => {
                if !is_package(package) {
                    return Err(format!("`{package}` is not a package name"));
                }
                if Version::parse(version).is_err() {
                    return Err(format!("`{version}` is not an exact version"));
                }
                let program = file.clone().unwrap_or_else(|| format!("node_modules/.bin/{}", binary.name));
                let reference = in_dep(version, Some(&program));
                // If node has not landed yet, its npm is looked for later.
                let node =
                    node(siblings).filter(|node| node.folder.is_some() || npm_cli(Path::new(&node.path)).is_some());
                let tool = match node {
                    Some(node) => Some((PathBuf::from(&node.path), node.folder.clone())),
                    None => tool("npm", &reference)?.and(None),
                };
                Ok((reference, Some(wanted(version, Some(program), tool))))
            }
            Source::CargoBuild { bin, .. } => {
                let program = bin.clone().unwrap_or_else(|| binary.name.clone());
                let key = key_of(paths, source)?;
                let reference = in_dep(&key, Some(&program));
                let tool = tool("cargo", &reference)?;
                Ok((reference, Some(wanted(&key, Some(program), tool))))
            }
            Source::GoBuild { path, module, version, package } => {
                let key = match (path, module, version, package) {
                    (Some(_), None, None, None) => key_of(paths, source)?,
                    (None, Some(_), Some(version), _) => {
                        if version.strip_prefix('v').is_none_or(|version| Version::parse(version).is_err()) {
                            return Err(format!("`{version}` is not an exact version, such as v1.2.3"));
                        }
                        version.clone()
                    }
                    _ => return Err("it needs either `path`, or `module` and `version`".into()),
                };
                let reference = in_dep(&key, Some(&binary.name));
                let tool = tool("go", &reference)?;
                Ok((reference, Some(wanted(&key, Some(binary.name.clone()), tool))))
            }
            Source::NextBuild { .. } | Source::NextDev { .. } => Err("it is of an app".into()),
        }
    }
}

/// Finds what runs of an app: the name of its service, its source, the name of the binary, and the version of its node.
pub(crate) type FindRelease<'a> = &'a dyn Fn(&ServiceName, &Source, &str, &str) -> Result<Release, String>;

/// What runs of an app, which may have to be made: a release, or its development server.
pub(crate) struct Release {
    /// The ID of the release.
    pub(crate) id: String,
    /// Its folder, as the engine knows it.
    pub(crate) folder: String,
    /// The folder of its server, or the program that starts it.
    pub(crate) path: PathBuf,
    /// How it is built.
    pub(crate) building: Building,
}

/// The release of a service, or why there is none.
fn release_of(
    service: &ServiceName,
    siblings: &BTreeMap<Identifier, BinaryRef>,
    binary: &Binary,
    index: usize,
    source: &Source,
    find: FindRelease<'_>,
) -> Result<(BinaryRef, Option<Wanted>), String> {
    let Some(node) = node(siblings) else {
        let is_named = siblings.keys().any(|name| name.as_str() == "node");
        let missing = "it is built with the binary `node` of the same service, which has none; add one";
        return Err(if is_named { NO_NODE } else { missing }.into());
    };
    let major = node.version.split('.').next().unwrap_or_default();
    let Release { id, folder, path, building } = find(service, source, &binary.name, major)?;
    let wanted = Wanted {
        binary: binary.name.clone(),
        source: source.clone(),
        index,
        sources: binary.sources.len(),
        version: id.clone(),
        tool: Some((PathBuf::from(&node.path), node.folder.clone())),
        tool_version: major.to_owned(),
        building,
        ..Wanted::none()
    };
    let path = path.display().to_string();
    Ok((BinaryRef { path, folder: Some(folder), version: id, source: source.word().to_owned() }, Some(wanted)))
}

/// Why an app cannot be built if its node is not available.
const NO_NODE: &str = "its `node` is not available";

/// The service's own node, if it has one.
fn node(siblings: &BTreeMap<Identifier, BinaryRef>) -> Option<&BinaryRef> {
    let node = Identifier::new("node").ok().and_then(|name| siblings.get(&name));
    node.filter(|node| !node.source.is_empty())
}

/// Checks that a folder that exists holds the program: it may be from another source with the same version.
fn expect_program(paths: &Paths, reference: &BinaryRef, wanted: Option<&Wanted>) -> Result<(), String> {
    let Some(folder) = reference.folder.as_ref().map(|name| paths.dep().join(name)).filter(|path| path.is_dir()) else {
        return Ok(());
    };
    match wanted.and_then(|wanted| wanted.program.as_ref()) {
        Some(program) if !folder.join(program).exists() => {
            Err(format!("{} is there without `{program}`; delete it to fetch it again", paths.shown(&folder)))
        }
        _ => Ok(()),
    }
}

/// The hash that names a build.
fn key_of(paths: &Paths, source: &Source) -> Result<String, String> {
    let parts = Parts::of(&paths.root, source)?.ok_or("it is built of nothing")?;
    parts.key(&paths.root).map_err(|error| paths.shown(Path::new(&error.to_string())))
}
