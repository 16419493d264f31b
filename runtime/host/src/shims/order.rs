//! Turns a start order of the engine into a request to a shim.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use core_engine::InvocationId;
use core_engine::action::StartOrder;
use core_engine::exit::Failure;
use core_manifest::{Identifier, ServiceSpec};
use core_shim::wire::{FileToWrite, LogPlace, Start};
use nix::libc;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::{environment::Environment, identity, releases, roles};

/// Whether this error means that the host has run out of something for now.
pub(super) fn is_lack(errno: i32) -> bool {
    matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOBUFS)
}

/// Where the output of an invocation is written.
pub(super) fn log_place(paths: &Paths, invocation: &InvocationId, spec: &ServiceSpec) -> LogPlace {
    let instance = &invocation.instance;
    LogPlace {
        folder: bytes(paths.logs().join(instance.service().as_str()).join(instance.slot.to_string())),
        prefix: format!("{}.{}", instance.generation, invocation.number),
        segment_bytes: spec.log.segment_bytes,
    }
}

/// What a supervisor stores with a shim, for the next supervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The auto ports of the instance.
    pub ports: BTreeMap<Identifier, u16>,
    /// Number of automatic restarts.
    pub restarts: u32,
    /// Number of failures in a row.
    pub failures: u32,
}

/// The request that tells a shim what to start.
pub(super) fn build(
    paths: &Paths,
    order: &StartOrder,
    environment: &Environment,
    sockets: &[(String, OwnedFd)],
) -> Result<Start, Failure> {
    let instance = &order.invocation.instance;
    let spec = &order.spec;
    let fill = environment.fill(paths, instance, &order.ports);
    let command = spec.command.fill(&fill);
    let (program, args) = if let Some(words) = releases::command(paths, spec, &order.ports) {
        (words[0].clone(), words)
    } else if spec.shell {
        ("/bin/sh".to_owned(), vec!["sh".to_owned(), "-c".to_owned(), command])
    } else {
        let mut args = vec![command.clone()];
        args.extend(spec.args.iter().map(|arg| arg.fill(&fill)));
        (command, args)
    };
    let mark = mark().map_err(|error| Failure::Host(format!("no random numbers: {error}")))?;
    let mut env = environment.of(spec, &fill);
    env.push(format!("CORE_INSTANCE={mark}").into_bytes());
    env.extend(roles::begin(&paths.run, order).map_err(|error| Failure::Host(format!("its part: {error}")))?);
    if spec.notifies() {
        env.push(format!("NOTIFY_SOCKET={}", core_shim::shim::notify_address(&mark)).into_bytes());
    }
    if let Some(watchdog) = spec.watchdog() {
        env.push(format!("WATCHDOG_USEC={}", watchdog.as_micros()).into_bytes());
    }
    let note = Note { ports: order.ports.clone(), restarts: order.restarts, failures: order.failures };
    Ok(Start {
        number: order.invocation.number,
        mark,
        program: program.into_bytes(),
        args: args.into_iter().map(String::into_bytes).collect(),
        env,
        cwd: spec.working_dir.fill(&fill).into_bytes(),
        identity: identity::numbers(&spec.identity)
            .map_err(|message| Failure::Exec { stage: "user".into(), message })?,
        sockets: sockets.iter().map(|(name, _)| name.clone()).collect(),
        log: log_place(paths, &order.invocation, spec),
        files: spec
            .files
            .iter()
            .map(|file| FileToWrite {
                path: file.path.fill(&fill).into_bytes(),
                contents: file.contents.fill(&fill).into_bytes(),
            })
            .collect(),
        note: serde_json::to_string(&note).unwrap_or_default(),
        notifies: spec.notifies(),
        is_daemon: spec.is_daemon,
        // Known when its folders have been made.
        writable: Vec::new(),
    })
}

/// The longest text that the kernel accepts, in bytes (`execve(2)`, "Limits on size of arguments and environment").
const LONGEST_TEXT: usize = 128 << 10;

/// Checks that the kernel will accept the arguments and the environment of a start.
///
/// # Errors
/// What is too long, with the sizes.
pub(super) fn check_sizes(start: &Start) -> Result<(), String> {
    let kib = |bytes: usize| format!("{} KiB", bytes.div_ceil(1 << 10));
    if let Some(text) = start.env.iter().chain(&start.args).find(|text| text.len() >= LONGEST_TEXT) {
        let is_variable = start.env.iter().any(|variable| variable == text);
        let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = String::from_utf8_lossy(&name[..name.len().min(60)]);
        let what = if is_variable { format!("the variable {name}") } else { "an argument".to_owned() };
        return Err(format!("{what} has {}, and the kernel takes {} in one", kib(text.len()), kib(LONGEST_TEXT)));
    }
    // Each text with its NUL byte and its pointer.
    let size = |texts: &[Vec<u8>]| texts.iter().map(|text| text.len() + 1 + size_of::<usize>()).sum::<usize>();
    let (args, env) = (size(&start.args), size(&start.env));
    let most = nix::unistd::sysconf(nix::unistd::SysconfVar::ARG_MAX).ok().flatten();
    match most.and_then(|most| usize::try_from(most).ok()) {
        Some(most) if args + env >= most => Err(format!(
            "its environment has {} and its arguments {}, and the kernel takes {} of both",
            kib(env),
            kib(args),
            kib(most)
        )),
        _ => Ok(()),
    }
}

fn bytes(path: PathBuf) -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    path.into_os_string().into_vec()
}

/// A random word that no other invocation has.
fn mark() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(core_stack::hex(&bytes))
}

/// A further hint about a program that cannot be found.
fn hint(program: &str) -> String {
    let mut head = [0; 256];
    let read = std::fs::File::open(program).and_then(|mut file| std::io::Read::read(&mut file, &mut head));
    if let Ok(count) = read {
        let line = head[..count].split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let Some(interpreter) = line.strip_prefix(b"#!") {
            let interpreter = String::from_utf8_lossy(interpreter);
            return match interpreter.strip_suffix('\r') {
                Some(_) => "; its first line ends with a carriage return: save it with the line ends of Unix".into(),
                None => format!("; its first line names `{}`", interpreter.trim()),
            };
        }
        return "; it is there, and what it is to be loaded by is not".into();
    }
    match program.split_once(' ') {
        Some((first, _)) => {
            format!("; `command` is one program: put what follows `{first}` into `args`, or set \"shell\": true")
        }
        None => String::new(),
    }
}

/// Why a shim could not start something, as text for people.
pub(super) fn failure_of(stage: &str, errno: i32, detail: &str) -> Failure {
    if stage == "guard" {
        return Failure::Guard(detail.to_owned());
    }
    let said = (errno != 0).then(|| {
        let text = std::io::Error::from_raw_os_error(errno).to_string();
        text.split(" (os error").next().unwrap_or_default().to_lowercase()
    });
    let message = match (detail, said) {
        ("", Some(said)) => said,
        (detail, None) => detail.to_owned(),
        (detail, Some(said)) => format!("{detail}: {said}"),
    };
    let message = match (stage, errno) {
        ("exec", libc::ENOENT) => format!("{message}{}", hint(detail)),
        _ => message,
    };
    // The previous shim may still exist.
    if is_lack(errno) || stage == "shim" {
        return Failure::Lack(format!("{stage}: {message}"));
    }
    Failure::Exec { stage: stage.to_owned(), message }
}
