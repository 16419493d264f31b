//! Reads the files of a stack.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use core_manifest::named::{self, Named};
use core_manifest::{Diagnostic, SourceFile, Span, variables};
use core_stack::Sources;

use crate::files;
use crate::machine;
use crate::paths::Paths;
use crate::trust::{Open, Trust};

/// The path of this program. After an upgrade it is that of the new program, which is what is wanted.
fn own_path() -> String {
    let path = std::env::current_exe().map_or_else(|_| "core".into(), |path| path.display().to_string());
    path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
}

/// Less memory than this, in bytes, is kept for what serves.
const LITTLE_MEMORY: u64 = 2 << 30;

/// Whether the host has so little memory that nothing is kept in it beside what serves.
fn has_little_memory() -> bool {
    static ANSWER: LazyLock<bool> =
        LazyLock::new(|| machine::look(&[]).is_ok_and(|machine| machine.memory_bytes < LITTLE_MEMORY));
    *ANSWER
}

/// Reads the files of the stack. Errors are added to `out`.
pub(super) fn sources(paths: &Paths, profile: &str, trust: &Trust, out: &mut Vec<Diagnostic>) -> Sources {
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    check(paths, trust, &paths.root, out);
    check_above(&paths.root, trust, out);
    let mut sources = Sources {
        root: paths.root.display().to_string(),
        edge: paths.edge().display().to_string(),
        core: own_path(),
        profile: profile.to_owned(),
        has_little_memory: has_little_memory(),
        env: env.filter(|(name, _)| !variables::is_own(name)).collect(),
        dotenv: optional(paths, trust, &paths.root.join(".env"), out),
        ..Sources::default()
    };
    read_manifests(&mut sources, paths, trust, out);
    check(paths, trust, &paths.root.join("manifests"), out);
    check(paths, trust, &paths.dep_lock(), out);
    check(paths, trust, &paths.dep(), out);
    check(paths, trust, &paths.secrets(), out);
    let stack = paths.root.join("manifests").join(format!("{profile}.json"));
    sources.stack = optional(paths, trust, &stack, out);
    if sources.stack.is_none() && profile != "local" && !stack.exists() {
        let known: Vec<String> = profiles(&paths.root.join("manifests"));
        let help = if known.is_empty() {
            format!("write manifests/{profile}.json, or leave --profile away")
        } else {
            format!("there are: {}", known.join(", "))
        };
        out.push(Diagnostic::new("unknown-profile", format!("there is no manifests/{profile}.json")).help(help));
    }
    read_named(&mut sources, paths, trust, out);
    read_secrets(&mut sources, paths, trust, out);
    sources
}

/// Reads the files that the manifests name. One that is missing is told where it is named.
fn read_named(sources: &mut Sources, paths: &Paths, trust: &Trust, out: &mut Vec<Diagnostic>) {
    let texts: Vec<Arc<SourceFile>> = sources.manifests.values().chain([&sources.stack]).flatten().cloned().collect();
    let named = Named::of(&texts);
    for folder in named.folders {
        let Ok(entries) = fs::read_dir(paths.root.join(&folder)) else { continue };
        let pages = entries.flatten().map(|entry| entry.path());
        let pages = pages.filter(|path| path.extension().is_some_and(|ending| ending == named::PAGE));
        let mut all = BTreeMap::new();
        for path in pages {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            all.insert(name, read(paths, trust, &path, out));
        }
        check(paths, trust, &paths.root.join(&folder), out);
        sources.folders.insert(folder, all);
    }
    for name in named.lists {
        let path = paths.root.join(&name);
        if path.exists() {
            sources.lists.insert(name, read(paths, trust, &path, out));
        }
    }
}

fn read_manifests(sources: &mut Sources, paths: &Paths, trust: &Trust, out: &mut Vec<Diagnostic>) {
    let folder = paths.root.join("services");
    check(paths, trust, &folder, out);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            out.push(Diagnostic::new("unreadable", format!("services/ cannot be read: {}", plain(&error))));
            return;
        }
    };
    let mut seen = false;
    for entry in entries.flatten() {
        let path = entry.path().join("service.json");
        // Other files in `services/` are ignored.
        if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            seen |= misspelt(paths, &entry.path(), out);
            continue;
        }
        if !entry.path().is_dir() {
            continue;
        }
        seen = true;
        let name = entry.file_name().to_string_lossy().into_owned();
        check(paths, trust, &entry.path(), out);
        let file = read(paths, trust, &path, out);
        sources.manifests.insert(name, file);
    }
    if !seen {
        out.push(
                Diagnostic::new("no-services", "there is no services/<name>/service.json")
                    .help("write services/hello/service.json, for example {\"process\": {\"command\": \"sleep\", \"args\": [\"1000\"]}}"),
            );
    }
}

fn read_secrets(sources: &mut Sources, paths: &Paths, trust: &Trust, out: &mut Vec<Diagnostic>) {
    let Ok(entries) = fs::read_dir(paths.secrets()) else { return };
    for entry in entries.flatten().filter(|entry| !entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        use std::os::unix::fs::MetadataExt;
        let open_to_others = entry.metadata().is_ok_and(|meta| meta.mode() & 0o077 != 0);
        if open_to_others {
            out.push(
                Diagnostic::new("open-secret", format!(".secrets/{name} can be read by others"))
                    .help(format!("chmod 600 .secrets/{name}")),
            );
        }
        let is_known = entry.metadata().is_ok_and(|meta| trust.knows(meta.uid()));
        if !is_known {
            out.push(
                Diagnostic::new("open-secret", format!(".secrets/{name} belongs to another user, who could change it"))
                    .help(format!("chown --reference=.secrets .secrets/{name}")),
            );
        }
        match files::read(&entry.path()).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other)) {
            Ok(text) => {
                // Remove one line end, which editors add.
                let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
                let text = text.to_owned();
                sources.secrets.insert(name, text);
            }
            Err(error) => {
                let message = format!(".secrets/{name} cannot be read: {}", plain(&error));
                out.push(Diagnostic::new("unreadable", message).help(files::remedy(&error)));
            }
        }
    }
}

/// Reports a folder that has no manifest, but a file that looks like a misspelt one.
fn misspelt(paths: &Paths, folder: &Path, out: &mut Vec<Diagnostic>) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    let Some(meant) = core_manifest::name::nearest("service.json", names.iter().map(String::as_str)) else {
        return false;
    };
    let folder = paths.shown(folder);
    out.push(
        Diagnostic::new("misspelt-file", format!("{folder} has no service.json, but `{meant}`"))
            .help(format!("mv {folder}/{meant} {folder}/service.json")),
    );
    true
}

/// The names of the profiles in a folder.
pub fn profiles(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| name != "dep.lock")
        .collect();
    names.sort();
    names
}

/// Reports a file that an untrusted user could change.
fn check(paths: &Paths, trust: &Trust, path: &Path, out: &mut Vec<Diagnostic>) {
    // Behind a link, a user who may write to a folder on the way could replace the file.
    if path.is_symlink()
        && let Err(why) = trust.check_program(path)
    {
        let fault = Diagnostic::new("open-file", format!("{} is a link, and {why}", paths.shown(path)));
        out.push(fault.help("take the right to write from others (chmod go-w), or replace the link"));
        return;
    }
    let Some(Open { what, remedy }) = fs::metadata(path).ok().and_then(|meta| trust.check(&meta).err()) else { return };
    let shown = if path == paths.root { ".".to_owned() } else { paths.shown(path) };
    out.push(Diagnostic::new("open-file", format!("{shown} {what}")).help(format!("{remedy} {shown}")));
}

/// Reports folders above the root that others may write to: they could replace the root. The owners of these folders
/// say less: in a container, they may be unknown.
fn check_above(root: &Path, trust: &Trust, out: &mut Vec<Diagnostic>) {
    for folder in root.ancestors().skip(1) {
        if let Some(what) = fs::metadata(folder).ok().and_then(|meta| trust.is_writable_by_others(&meta)) {
            let shown = folder.display();
            let help = format!("chmod go-w {shown}, or move the stack");
            out.push(Diagnostic::new("open-file", format!("{shown}, above the stack, {what}")).help(help));
        }
    }
}

fn optional(paths: &Paths, trust: &Trust, path: &Path, out: &mut Vec<Diagnostic>) -> Option<Arc<SourceFile>> {
    let absent = fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if absent { None } else { read(paths, trust, path, out) }
}

fn read(paths: &Paths, trust: &Trust, path: &Path, out: &mut Vec<Diagnostic>) -> Option<Arc<SourceFile>> {
    let shown = paths.shown(path);
    check(paths, trust, path, out);
    let bytes = match files::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let file = Arc::new(SourceFile { path: shown, text: String::new() });
            out.push(
                Diagnostic::new("unreadable", format!("the file cannot be read: {}", plain(&error)))
                    .at(Span::file(file))
                    .help(files::remedy(&error)),
            );
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(Arc::new(SourceFile { path: shown, text })),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let file = Arc::new(SourceFile { path: shown, text });
            out.push(
                Diagnostic::new("not-text", "the file is not UTF-8 text")
                    .at(Span { file, start: valid, end: valid })
                    .help("save it as UTF-8"),
            );
            None
        }
    }
}

/// The text of an error of the operating system, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
