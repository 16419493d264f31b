//! `core deploy --host`: sends a release to other hosts, over the system's own ssh, and has it deployed there.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use core_host::releases::Expected;
use core_stack::shell::quoted;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdin;

use super::remote::{Place, size};
use crate::cli::DeployArgs;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

/// How much is sent at once.
const PIECE: usize = 1 << 16;
/// The exit code of ssh when the connection failed (ssh(1)).
const NO_LINK: i32 = 255;

/// How far it got.
enum Ended {
    Deployed,
    /// With the exit code of the command there.
    Failed(i32),
    /// The connection ended; whether all of it had arrived.
    Lost(bool),
}

/// Sends an archive to each host, one after the other; the first failure ends it.
pub(crate) async fn run(archive: &Path, args: &DeployArgs) -> Exit {
    let opened = File::open(archive).and_then(|mut file| Expected::of(&mut file).map(|expected| (file, expected)));
    let (mut file, expected) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            render::error(&format!("{}: {error}", archive.display()));
            return Exit::Failed;
        }
    };
    for (number, host) in args.host.iter().enumerate() {
        let place = match Place::parse(host) {
            Ok(place) => place,
            Err(why) => {
                render::error(&why);
                return Exit::Usage;
            }
        };
        let rest = &args.host[number + 1..];
        let left = || {
            if !rest.is_empty() {
                render::note(&format!("not deployed to {}", rest.join(", ")));
            }
        };
        match send(&place, &mut file, &expected, args).await {
            Ok(Ended::Deployed) => render::note(&format!("{} to {host}", styled(GREEN, "deployed"))),
            Ok(Ended::Failed(code)) => {
                render::error(&format!("{host}: it was not deployed"));
                left();
                return Exit::Code(u8::try_from(code).unwrap_or(1));
            }
            Ok(Ended::Lost(false)) => {
                render::error(&format!("{host}: the connection ended before all of it had arrived"));
                render::help("the same command goes on where it stopped");
                left();
                return Exit::Failed;
            }
            Ok(Ended::Lost(true)) => {
                render::error(&format!("{host}: the connection ended; the deploy goes on there"));
                let follow = place.core(&["history".to_owned()]);
                render::help(&format!("how it ends: ssh {} {}", place.server, quoted(&follow)));
                left();
                return Exit::Failed;
            }
            Err(error) => {
                render::error(&format!("{host}: {error}"));
                left();
                return Exit::Failed;
            }
        }
    }
    Exit::Ok
}

async fn send(place: &Place<'_>, file: &mut File, expected: &Expected, args: &DeployArgs) -> std::io::Result<Ended> {
    let words = words(expected, args);
    let mut command = place.ssh(&place.core(&words));
    // What is said there is said here.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("no pipe to ssh"));
    };
    let mut said = BufReader::new(stdout);
    let mut line = String::new();
    said.read_line(&mut line).await?;
    let have = line.trim().strip_prefix("have ").and_then(|have| have.parse::<u64>().ok());
    let mut has_arrived = false;
    if let Some(have) = have {
        let more = if have > 0 { format!(", {} of it are there", size(have)) } else { String::new() };
        render::note(&format!("{}: sending {}{more}", place.server, size(expected.size)));
        file.seek(SeekFrom::Start(have))?;
        if pour(file, stdin).await.is_ok() {
            line.clear();
            has_arrived = said.read_line(&mut line).await.is_ok() && line.trim() == "whole";
        }
    } else {
        let _ = stdin.shutdown().await;
    }
    let mut rest = Vec::new();
    let _ = said.read_to_end(&mut rest).await;
    let code = child.wait().await?.code().unwrap_or(1);
    Ok(match code {
        0 => Ended::Deployed,
        NO_LINK if have.is_some() => Ended::Lost(has_arrived),
        code => Ended::Failed(code),
    })
}

/// Sends the rest of a file.
async fn pour(file: &mut File, mut to: ChildStdin) -> std::io::Result<()> {
    use std::io::Read as _;
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..count]).await?;
    }
}

/// The words of the command there.
fn words(expected: &Expected, args: &DeployArgs) -> Vec<String> {
    let mut words = vec!["deploy".to_owned(), "-".to_owned(), "--upload".to_owned(), expected.word()];
    let canary = args.canary.map(|percent| percent.to_string());
    let options = [
        ("--service", &args.service),
        ("--message", &args.message),
        ("--preview", &args.preview),
        ("--canary", &canary),
    ];
    for (name, value) in options {
        words.extend(value.iter().flat_map(|value| [name.to_owned(), value.clone()]));
    }
    words.extend(args.wait.timeout.iter().flat_map(|seconds| ["--timeout".to_owned(), seconds.to_string()]));
    words.extend(args.no_switch.then(|| "--no-switch".to_owned()));
    words.extend(args.public.then(|| "--public".to_owned()));
    words.extend(args.supersede.then(|| "--supersede".to_owned()));
    words
}
