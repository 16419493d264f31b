//! A project's folder, for `core init`: what is there is read, and what the person agrees to is written.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use core_stack::init::{Project, Proposal};

use crate::{files, load};

/// The names that a file of Docker Compose may have, in the order in which it looks for them.
const DOCKER_COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// The names that a file of process-compose may have.
const PROCESS_COMPOSE: [&str; 2] = ["process-compose.yaml", "process-compose.yml"];
/// Files that have no part in a stack.
const OTHERS: [&str; 4] = ["Dockerfile", "ecosystem.config.js", "fly.toml", "vercel.json"];

/// Reads what matters of the folder.
pub fn read(root: &Path) -> Project {
    let text =
        |name: &str| files::read(&root.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let first = |names: &[&str]| names.iter().find_map(|name| Some(((*name).to_owned(), text(name)?)));
    let apps = load::find_apps(root);
    Project {
        package: text("package.json"),
        data: apps.iter().map(|app| (app.clone(), data_of(&root.join(app)))).collect(),
        apps,
        procfile: text("Procfile"),
        docker_compose: first(&DOCKER_COMPOSE),
        process_compose: first(&PROCESS_COMPOSE),
        gitignore: text(".gitignore"),
        others: OTHERS.iter().filter(|name| root.join(name).is_file()).map(ToString::to_string).collect(),
    }
}

/// Endings of files that are databases.
const DATABASES: [&str; 3] = ["sqlite", "sqlite3", "db"];
/// Folders that apps put uploads into.
const UPLOADS: [&str; 3] = ["uploads", "public/uploads", "storage"];
/// Files with the app's variables, one of which may name its database.
const VARIABLES: [&str; 4] = [".env", ".env.local", ".env.production", ".env.example"];

/// What an app writes beside itself, as far as that can be seen: databases and folders that are there, and the file that
/// its `DATABASE_URL` names. Paths relative to the app; folders end in `/`.
fn data_of(app: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in VARIABLES {
        let text = files::read(&app.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let urls = text.lines().filter_map(|line| line.trim().strip_prefix("DATABASE_URL="));
        let paths = urls.filter_map(|url| {
            let path = url.trim_matches(['"', '\'', ' ']).strip_prefix("file:")?;
            let path = path.split('?').next()?.trim_start_matches("./");
            (!path.is_empty() && !path.starts_with(['/', '.'])).then(|| path.to_owned())
        });
        all.extend(paths);
    }
    for entry in fs::read_dir(app).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_database = path.extension().is_some_and(|ending| DATABASES.iter().any(|one| ending == *one));
        if is_database && path.is_file() {
            all.extend(entry.file_name().into_string().ok());
        }
    }
    all.extend(UPLOADS.iter().filter(|name| app.join(name).is_dir()).map(|name| format!("{name}/")));
    all.sort();
    all.dedup();
    all
}

/// Writes what was proposed. A file that is there is left as it is. Returns those that were.
///
/// # Errors
/// The file that cannot be written, and why.
pub fn write(root: &Path, proposal: &Proposal) -> Result<Vec<String>, String> {
    let mut kept = Vec::new();
    for (path, text) in &proposal.files {
        let target = root.join(path);
        let made = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| create(&target, text));
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => kept.push(path.clone()),
            Err(error) => return Err(format!("{path} cannot be written: {error}")),
        }
    }
    if !proposal.ignored.is_empty() {
        ignore(&root.join(".gitignore"), &proposal.ignored)
            .map_err(|error| format!(".gitignore cannot be written: {error}"))?;
    }
    Ok(kept)
}

/// A new file; one that is there is an error.
fn create(path: &Path, text: &str) -> io::Result<()> {
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// Adds lines to the end of a file, which may lack its last line end.
fn ignore(path: &Path, lines: &[String]) -> io::Result<()> {
    let before = fs::read_to_string(path).unwrap_or_default();
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let mut file = fs::File::options().append(true).create(true).open(path)?;
    file.write_all(format!("{gap}{}\n", lines.join("\n")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_writes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(data_of(root), [""; 0]);
        fs::write(root.join(".env"), "A=1\nDATABASE_URL=\"file:./db.sqlite?mode=rw\"\n").unwrap();
        fs::write(root.join(".env.example"), "DATABASE_URL=postgres://x\n").unwrap();
        fs::write(root.join("other.db"), "").unwrap();
        fs::create_dir_all(root.join("public/uploads")).unwrap();
        assert_eq!(data_of(root), ["db.sqlite", "other.db", "public/uploads/"]);
    }

    #[test]
    fn what_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("package.json"), r#"{"dependencies": {"next": "16"}}"#).unwrap();
        fs::write(root.join(".gitignore"), "node_modules").unwrap();
        fs::create_dir_all(root.join("manifests")).unwrap();
        fs::write(root.join("manifests/local.json"), "{}").unwrap();
        let proposal = core_stack::init::propose(&read(root)).unwrap();
        assert_eq!(write(root, &proposal).unwrap(), ["manifests/local.json"]);
        assert_eq!(fs::read_to_string(root.join("manifests/local.json")).unwrap(), "{}");
        assert!(root.join("services/web/service.json").is_file());
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap();
        assert!(ignored.starts_with("node_modules\n.core-stack/\n"), "{ignored}");
        // A second time changes nothing.
        let again = core_stack::init::propose(&read(root)).unwrap();
        assert_eq!(write(root, &again).unwrap().len(), again.files.len());
        assert_eq!(fs::read_to_string(root.join(".gitignore")).unwrap(), ignored);
    }
}
