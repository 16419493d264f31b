//! `core bootstrap`: puts this program on other hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use core_host::releases::Expected;
use core_stack::shell::quoted;
use tokio::io::AsyncWriteExt as _;

use super::remote::{Place, size};
use crate::cli::BootstrapArgs;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

/// What is asked first: the machine, its C library, the user.
const LOOK: &str = "uname -s; uname -m; getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1; id -u";

pub(crate) async fn run(args: &BootstrapArgs) -> Exit {
    let program = args.program.clone().map_or_else(std::env::current_exe, Ok);
    let read = program.and_then(|path: PathBuf| fs::read(&path).map(|bytes| (path, bytes)));
    let (path, bytes) = match read {
        Ok(read) => read,
        Err(error) => {
            render::error(&format!("the program cannot be read: {error}"));
            return Exit::Failed;
        }
    };
    for host in &args.host {
        let place = match Place::parse(host) {
            Ok(place) => place,
            Err(why) => {
                render::error(&why);
                return Exit::Usage;
            }
        };
        match put(&place, &path, &bytes).await {
            Ok(said) => render::note(&format!("{}: {host}: {said}", styled(GREEN, "ready"))),
            Err((message, help)) => {
                render::error(&format!("{host}: {message}"));
                if let Some(help) = help {
                    render::help(&help);
                }
                return Exit::Failed;
            }
        }
    }
    Exit::Ok
}

/// Copies the program there, if it can run there, and makes the root.
async fn put(place: &Place<'_>, path: &Path, bytes: &[u8]) -> Result<String, (String, Option<String>)> {
    let plain = |message: String| (message, None);
    let said = ask(place, LOOK, &[]).await.map_err(plain)?;
    let host = Host::parse(&said).ok_or_else(|| plain(format!("it did not say what it is: {said}")))?;
    host.check(bytes).map_err(|why| {
        let help = "`packaging/portable` builds one for glibc 2.17 and later; then `core bootstrap --program FILE`";
        (format!("{} cannot run there: {why}", path.display()), Some(help.to_owned()))
    })?;
    let folder = if host.uid == 0 { "/usr/local/bin" } else { "$HOME/.local/bin" };
    render::note(&format!("{}: sending {}", place.server, size(bytes.len() as u64)));
    let sha256 = Expected::of_bytes(bytes).sha256;
    // In one step: a stack may run from the one that is there.
    let root = place.root.map_or_else(String::new, |root| format!(" && mkdir -p {}", quoted(root)));
    let line = format!(
        "set -e; mkdir -p \"{folder}\"; cat > \"{folder}/.core.part\"; chmod 755 \"{folder}/.core.part\"; \
         echo \"{sha256}  {folder}/.core.part\" | sha256sum -c - >/dev/null; \"{folder}/.core.part\" --version && mv \"{folder}/.core.part\" \"{folder}/core\"{root}"
    );
    let version = ask(place, &line, bytes).await.map_err(plain)?;
    Ok(format!("{} in {folder}", version.trim()))
}

/// What a line prints there.
async fn ask(place: &Place<'_>, line: &str, input: &[u8]) -> Result<String, String> {
    let run = async {
        let mut child = place.ssh(line).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // What it has to say about the rest is in its output.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    let said = run.await.map_err(|error: std::io::Error| format!("ssh: {error}"))?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).into_owned());
    }
    Err(format!("ssh ended with {}", said.status.code().unwrap_or(1)))
}

/// A host, by its own words.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    system: String,
    machine: String,
    /// `glibc 2.36`, or what `ldd` says of another library.
    libc: String,
    uid: u32,
}

impl Host {
    fn parse(said: &str) -> Option<Self> {
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        let [system, machine, libc, uid] = lines[..] else { return None };
        Some(Self { system: system.into(), machine: machine.into(), libc: libc.into(), uid: uid.parse().ok()? })
    }

    /// Whether a program can run there.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, program: &[u8]) -> Result<(), String> {
        let (system, machine) = ("Linux", std::env::consts::ARCH);
        if self.system != system || self.machine != machine {
            return Err(format!(
                "it is for {system} on {machine}, and that host is {} on {}",
                self.system, self.machine
            ));
        }
        let Some(needed) = newest_glibc(program) else { return Ok(()) };
        let has = self.libc.strip_prefix("glibc ").and_then(version);
        if has.is_some_and(|has| has >= needed) {
            return Ok(());
        }
        Err(format!("it needs glibc {}.{}, and that host has {}", needed.0, needed.1, self.libc))
    }
}

/// The newest version of glibc that a program names: `None` if it needs none.
fn newest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let places = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let versions = places.filter_map(|(at, _)| {
        let rest = &program[at + NAME.len()..program.len().min(at + NAME.len() + 8)];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(rest.len());
        version(std::str::from_utf8(&rest[..end]).ok()?)
    });
    versions.max()
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_only_where_it_can_run() {
        let machine = std::env::consts::ARCH;
        let host = |libc: &str| Host::parse(&format!("Linux\n{machine}\n{libc}\n1000\n")).unwrap();
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_PRIVATE\0";
        assert_eq!(newest_glibc(program), Some((2, 34)));
        assert_eq!(host("glibc 2.36").check(program), Ok(()));
        assert_eq!(host("glibc 2.31").check(program), Err("it needs glibc 2.34, and that host has glibc 2.31".into()));
        assert!(host("musl libc (x86_64)").check(program).is_err());
        assert_eq!(host("musl libc (x86_64)").check(b"static"), Ok(()));
        let other = Host { machine: "riscv64".into(), ..host("glibc 2.36") };
        assert!(other.check(program).unwrap_err().contains("riscv64"));
        assert_eq!(Host::parse("Last login: never\n"), None);
    }
}
