//! Programs that core uses: its own `core-shim`, and those that download and build.

use std::path::{Path, PathBuf};
use std::thread;

use super::Finding;
use crate::binaries::{ask, first_version};
use crate::which::find_program;

/// The program of keeper and shims, in the folder of `core`.
pub(super) fn shim() -> Finding {
    let name = "core-shim";
    match std::env::current_exe() {
        Ok(core) => match crate::launch::shim_beside(&core) {
            shim if shim == core => Finding::weaker(
                name,
                format!("none beside {}, which takes its place", core.display()),
                "keeper and shims are a larger program than they need to be",
            ),
            shim => Finding::ok(name, shim.display().to_string()),
        },
        Err(error) => Finding::missing(name, error.to_string(), "no service can be started"),
    }
    .required()
}

/// Python with pip, Node.js, npm, Cargo and Go; asked in parallel, because some take long.
pub(super) fn tools() -> Vec<Finding> {
    let probes: [fn() -> Finding; 5] = [python, node, npm, cargo, go];
    let asked: Vec<_> = probes.into_iter().map(thread::spawn).collect();
    asked.into_iter().filter_map(|one| one.join().ok()).collect()
}

fn python() -> Finding {
    let without = "binaries of the kind `pypi` cannot be fetched";
    let Some(python) = on_path("python3").or_else(|| on_path("python")) else {
        return Finding::missing("python", "not in PATH", without);
    };
    let version = version(&python, &["--version"]);
    match ask(&python, &["-m", "pip", "--version"]) {
        Ok(pip) if pip.is_well => {
            let pip = pip.text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            Finding::ok("python", format!("{version} with {pip}: {}", python.display()))
        }
        _ => Finding::weaker("python", format!("{version} without pip: {}", python.display()), without),
    }
}

fn node() -> Finding {
    let without = "apps need a node of the kind `pypi`; core fetches it where the manifest names one";
    tool("node", "node", &["--version"], without)
}

/// The npm that builds use, which came with node. An npm that is only in PATH is not used.
fn npm() -> Finding {
    let without = "a node of this machine cannot build an app; one of the kind `pypi` brings its own npm";
    let Some(node) = on_path("node") else {
        return Finding::missing("npm", "there is no node in PATH that it could belong to", without);
    };
    match crate::binaries::npm_cli(&node) {
        Some(npm) => {
            let shown = npm.display().to_string();
            Finding::ok("npm", format!("{}: {shown}", version(&node, &[&shown, "--version"])))
        }
        None => Finding::missing("npm", format!("none stands beside {}", node.display()), without),
    }
}

fn cargo() -> Finding {
    tool("cargo", "cargo", &["--version"], "binaries that are built by Cargo cannot be made")
}

fn go() -> Finding {
    tool("go", "go", &["version"], "binaries that are built by Go cannot be made")
}

fn tool(name: &str, program: &str, args: &[&str], without: &str) -> Finding {
    match on_path(program) {
        Some(path) => Finding::ok(name, format!("{}: {}", version(&path, args), path.display())),
        None => Finding::missing(name, "not in PATH", without),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    find_program(name, std::env::var("PATH").ok().as_deref())
}

/// The version that a program reports.
fn version(program: &Path, args: &[&str]) -> String {
    let version = ask(program, args).ok().filter(|said| said.is_well).and_then(|said| first_version(&said.text));
    version.map_or_else(|| "it does not say its version".to_owned(), |version| version.to_string())
}
