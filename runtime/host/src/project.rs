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
    Project {
        package: text("package.json"),
        apps: load::find_apps(root),
        procfile: text("Procfile"),
        docker_compose: first(&DOCKER_COMPOSE),
        process_compose: first(&PROCESS_COMPOSE),
        gitignore: text(".gitignore"),
        others: OTHERS.iter().filter(|name| root.join(name).is_file()).map(ToString::to_string).collect(),
    }
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
