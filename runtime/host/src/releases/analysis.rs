//! Reads what a build left, for the payload of its release.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use core_manifest::{SourceFile, dotenv};
use core_next::payload::{self, Built, File, Payload, Scan};

use super::choose::APP;
use super::listing::Listed;
use super::record;
use crate::paths::Paths;

/// Longer files of code are not looked through, in bytes: they are data.
const LONGEST: u64 = 16 << 20;
/// Files of variables, in the order in which a server reads them.
const ENV_FILES: [&str; 4] = [".env", ".env.production", ".env.local", ".env.production.local"];
/// Folders of a build that are no part of its result.
const APART: [&str; 4] = [".next/cache", ".next/standalone", ".next/types", ".next/dev"];
/// Packages whose code asks for no variables of an app.
const KNOWN: [&str; 9] = ["next", "react", "react-dom", "@next", "@img", "sharp", "caniuse-lite", "typescript", "@swc"];
/// Kinds of source files that name variables.
const SOURCES: [&str; 10] = ["js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "json", "prisma", "mdx"];

/// The payload of a release: the one that was written when it was made, or one that is made now.
///
/// # Errors
/// Why there is none, as text for people.
pub fn payload_of(paths: &Paths, release: &Listed) -> Result<Payload, String> {
    let folder = paths.releases().join(&release.record.service).join(&release.record.id);
    if let Some(payload) = record::payload(&folder) {
        return Ok(payload);
    }
    let node = Some(release.record.node.clone()).filter(|node| !node.is_empty());
    let names = release.record.variables.keys().cloned().collect();
    analyze(&folder.join(APP), &folder, Some(&release.record.id), node, names)
}

/// The payload of a built app in the folder `app`. Its packages are there or in a folder above it, up to `root`. `release`
/// is the ID of the release, if it is one, `node` the version of Node.js, `at_build` names the variables of the build.
///
/// # Errors
/// Why it cannot be told, as text for people.
pub fn analyze(
    app: &Path,
    root: &Path,
    release: Option<&str>,
    node: Option<String>,
    at_build: Vec<String>,
) -> Result<Payload, String> {
    if !app.join(".next/BUILD_ID").is_file() {
        let why = if app.join("package.json").is_file() { "is not built" } else { "is not an app" };
        return Err(format!("{} {why}: it has no .next/BUILD_ID", app.display()));
    }
    let failed = |error: io::Error| format!("{}: {error}", app.display());
    let mut built = Built { node, at_build, ..Built::default() };
    for folder in [".next", "public"] {
        list(app, folder, &mut built).map_err(failed)?;
    }
    built.files.sort();
    read_package(app, app, "package.json", &mut built);
    let package = built.text("package.json").unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    let lists = ["dependencies", "devDependencies"];
    let names = lists.iter().flat_map(|list| package[list].as_object().into_iter().flatten().map(|(name, _)| name));
    for name in names {
        let file = format!("node_modules/{name}/package.json");
        let above = app.ancestors().take_while(|folder| folder.starts_with(root));
        if let Some(folder) = above.into_iter().find(|folder| folder.join(&file).is_file()) {
            read_package(app, folder, &file, &mut built);
        }
    }
    let mut variables = Vec::new();
    for name in ENV_FILES {
        let Ok(text) = crate::files::read_text(&app.join(name)) else { continue };
        // What Next.js reads in another way, it has complained about itself.
        let read = dotenv::parse(&Arc::new(SourceFile { path: name.into(), text }), &mut Vec::new());
        built.env_files.insert(name.to_owned(), read.keys().cloned().collect());
        variables.extend(read);
    }
    let names: BTreeSet<String> = built.env_files.values().flatten().cloned().collect();
    let mut scan = Scan::new(variables);
    for file in built.files.iter().filter(|file| file.path.ends_with(".js") && file.bytes <= LONGEST) {
        let Ok(code) = fs::read(app.join(&file.path)) else { continue };
        let code = String::from_utf8_lossy(&code);
        match file.path.strip_prefix(".next/") {
            Some(path) if path.starts_with("static/") => scan.client(path, &code),
            Some(path) if path.starts_with("server/") => scan.server(&code, &names),
            _ => {}
        }
    }
    // Packages that are not bundled: those that the server needs, where that is known. And what reads variables only while
    // it is built.
    let packages = [".next/standalone/node_modules", "node_modules"].map(|folder| app.join(folder));
    if let Some(packages) = packages.iter().find(|folder| folder.is_dir()) {
        look_into(packages, &mut scan, &names, &|name| KNOWN.contains(&name));
    }
    look_into(app, &mut scan, &names, &|name| name == "node_modules" || name.starts_with('.') || name == "public");
    Ok(payload::of(&built, &scan.end(), release, &jiff::Zoned::now().strftime("%Y-%m-%d").to_string()))
}

/// Lists a folder of the app, and reads what is looked into.
fn list(app: &Path, below: &str, built: &mut Built) -> io::Result<()> {
    let entries = match fs::read_dir(app.join(below)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        // A name that is not text is not asked for by a route either.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{below}/{name}");
        let meta = fs::metadata(entry.path());
        let is_part = !entry.path().is_symlink() && !APART.contains(&path.as_str());
        match meta {
            Ok(meta) if meta.is_dir() && is_part => list(app, &path, built)?,
            Ok(meta) if meta.is_file() => {
                if Built::is_read(&path) && meta.len() <= LONGEST {
                    let text = fs::read(entry.path()).unwrap_or_default();
                    built.texts.insert(path.clone(), String::from_utf8_lossy(&text).into_owned());
                }
                built.files.push(File { path, bytes: meta.len() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a package.json. It stands where the app would look for it.
fn read_package(app: &Path, folder: &Path, file: &str, built: &mut Built) {
    let text = crate::files::read_text(&folder.join(file)).or_else(|_| crate::files::read_text(&app.join(file)));
    if let Ok(text) = text {
        built.texts.insert(file.to_owned(), text);
    }
}

/// Looks through sources for names of variables, without the folders that are left out.
fn look_into(folder: &Path, scan: &mut Scan, names: &BTreeSet<String>, is_left_out: &dyn Fn(&str) -> bool) {
    if names.is_empty() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        if kind.is_dir() && !is_left_out(&name) {
            look_into(&entry.path(), scan, names, is_left_out);
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let is_short = || entry.metadata().is_ok_and(|meta| meta.len() <= 1 << 20);
        if kind.is_file() && SOURCES.contains(&ending) && is_short() {
            let text = fs::read(entry.path()).unwrap_or_default();
            scan.named(&String::from_utf8_lossy(&text), names);
        }
    }
}
