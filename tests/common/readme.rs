//! What the README tells its reader to type.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CORE, Said, checkout};

/// The shell blocks of a section of the README, in order.
pub(crate) fn commands(section: &str) -> String {
    let readme = fs::read_to_string(checkout().join("README.md")).expect("the README");
    let section = readme.split("\n## ").find(|text| text.starts_with(section)).expect("the section");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.collect::<Vec<_>>().join("\n")
}

/// Runs shell lines in `folder`, with the `core` in `bin` first on PATH, and expects them to end well.
pub(crate) fn run(lines: &str, folder: &Path, bin: &Path) -> Said {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", lines]).current_dir(folder).env("PATH", path);
    for name in ["CORE_ROOT", "CORE_PROFILE", "NODE_ENV"] {
        command.env_remove(name);
    }
    let said = Said::of(command.output().expect("bash"));
    assert_eq!(said.code, 0, "{lines}\n{}{}", said.out, said.err);
    said
}

/// Makes a folder for PATH in `root`, with `core` in it.
pub(crate) fn bin(root: &Path) -> PathBuf {
    let bin = root.join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(CORE, bin.join("core")).expect("a link");
    bin
}
