//! From a start order of the engine to the words a shim understands.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use core_engine::InvocationId;
use core_engine::action::StartOrder;
use core_engine::exit::Failure;
use core_manifest::spec::Identity;
use core_manifest::{Identifier, ServiceSpec};
use core_shim::wire::{self, FileToWrite, LogPlace, Start};
use nix::libc;
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::fill::fill_of;
use crate::paths::Paths;
use crate::users;

/// Whether this is what a host says that has nothing left to give just now.
pub(super) fn is_lack(errno: i32) -> bool {
    matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOBUFS)
}

/// The environment that `core up` had, without what is ours.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, Vec<u8>>);

/// Where the output of an invocation goes.
pub(super) fn log_place(paths: &Paths, invocation: &InvocationId, spec: &ServiceSpec) -> LogPlace {
    let instance = &invocation.instance;
    LogPlace {
        folder: bytes(paths.logs().join(instance.service().as_str()).join(instance.slot.to_string())),
        prefix: format!("{}.{}", instance.generation, invocation.number),
        segment_bytes: spec.log.segment_bytes,
    }
}

/// What a supervisor wants to be told again by a shim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Ports that were given.
    pub ports: BTreeMap<Identifier, u16>,
    /// Automatic restarts.
    pub restarts: u32,
    /// Failures in a row.
    pub failures: u32,
}

impl Environment {
    /// Ours, which is that of `core up`: the keeper kept it.
    pub fn inherited() -> Self {
        use std::os::unix::ffi::OsStringExt;
        let all = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| !crate::load::is_reserved(name))?;
            Some((name, value.into_vec()))
        });
        Self(all.collect())
    }

    /// The environment of an instance, `NAME=value` each.
    pub fn of(&self, spec: &ServiceSpec, fill: &super::InstanceFill) -> Vec<Vec<u8>> {
        let mut all = self.0.clone();
        all.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.fill(fill).into_bytes())));
        all.into_iter().map(|(name, value)| [name.as_bytes(), b"=", &value].concat()).collect()
    }
}

/// What a shim is told to start.
pub(super) fn build(
    paths: &Paths,
    order: &StartOrder,
    environment: &Environment,
    sockets: &[(String, OwnedFd)],
) -> Result<Start, Failure> {
    let instance = &order.invocation.instance;
    let spec = &order.spec;
    let fill = fill_of(paths, instance, &order.ports);
    let command = spec.command.fill(&fill);
    let (program, args) = if spec.shell {
        ("/bin/sh".to_owned(), vec!["sh".to_owned(), "-c".to_owned(), command])
    } else {
        let mut args = vec![command.clone()];
        args.extend(spec.args.iter().map(|arg| arg.fill(&fill)));
        (command, args)
    };
    let mark = mark().map_err(|error| Failure::Host(format!("no random numbers: {error}")))?;
    let mut env = environment.of(spec, &fill);
    env.push(format!("CORE_INSTANCE={mark}").into_bytes());
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
        identity: identity(&spec.identity)?,
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
    })
}

fn bytes(path: PathBuf) -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    path.into_os_string().into_vec()
}

/// A word that no other invocation ever has.
fn mark() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(crate::hex(&bytes))
}

/// Names become numbers here: a shim asks no directory of users.
fn identity(spec: &Identity) -> Result<wire::Identity, Failure> {
    let failed = |message: String| Failure::Exec { stage: "user".into(), message };
    let group = spec.group.as_deref().map(|group| users::group(group).map_err(failed)).transpose()?;
    let user = match (&spec.user, group) {
        (None, None) => None,
        (None, Some(group)) => Some((Uid::effective().as_raw(), group, Vec::new())),
        (Some(user), group) => {
            let known = users::user(user).map_err(failed)?;
            let group = group.unwrap_or_else(|| known.gid.as_raw());
            let name = std::ffi::CString::new(known.name.clone()).unwrap_or_default();
            let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(group)).unwrap_or_default();
            Some((known.uid.as_raw(), group, groups.into_iter().map(Gid::as_raw).collect()))
        }
    };
    let resource = |name: &str| match name {
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "core" => libc::RLIMIT_CORE,
        _ => libc::RLIMIT_AS,
    };
    Ok(wire::Identity {
        user,
        umask: spec.umask,
        limits: spec
            .limits
            .iter()
            .map(|(name, limit)| (resource(name), limit.unwrap_or(libc::RLIM_INFINITY)))
            .collect(),
        nice: spec.nice,
        oom_score_adj: spec.oom_score_adj,
    })
}

/// Why a shim could not start something, for people.
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
    // The one before may still stand there.
    if is_lack(errno) || stage == "shim" {
        return Failure::Lack(format!("{stage}: {message}"));
    }
    Failure::Exec { stage: stage.to_owned(), message }
}
