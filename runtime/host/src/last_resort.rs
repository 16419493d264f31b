//! Stops a stack without a supervisor: asks the shims directly, then kills what is left.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use core_engine::InstanceId;
use core_shim::cgroup;
use core_shim::handle::Handle;
use core_shim::place::Place;
use core_shim::wire::{ECHO, FrameBuffer, Life, Report, Request, Scope, receive, send};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::ended;
use crate::keeper;
use crate::paths::Paths;
use crate::shims::{call, stray};

/// How long services get to stop before they are killed. Their manifests may be gone; this is the usual default.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a killed process tree may take to exit.
const KILLED: Duration = Duration::from_secs(10);
/// How long all shims together may take to report their state.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a released shim may take to exit.
const GOING: Duration = Duration::from_secs(2);
/// The pause before the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The result of stopping a stack.
#[derive(Debug, Default)]
pub struct Ended {
    /// Instances and processes that still exist.
    pub left: Vec<String>,
}

/// Whether a keeper of this stack is alive.
pub fn keeper_lives(paths: &Paths) -> bool {
    keeper::lives(&paths.run)
}

/// Stops everything: first keeper and supervisor, then services through their shims. `kill` skips the SIGTERM.
pub async fn end(paths: &Paths, kill: bool) -> Ended {
    let paths = paths.clone();
    tokio::task::spawn_blocking(move || end_now(&paths, kill)).await.unwrap_or_default()
}

fn end_now(paths: &Paths, kill: bool) -> Ended {
    // The keeper first, or it would restart what was stopped. Its shims keep running without it.
    let remains = keeper::end(&paths.run);
    let names = instances(paths);
    let mut lines = ask_all(paths, &names);
    for line in &mut lines {
        let number = line.number;
        line.ask(&if kill {
            Request::Kill { number }
        } else {
            Request::Signal { number, signal: libc::SIGTERM, scope: Scope::Group }
        });
    }
    let until = Instant::now() + if kill { Duration::ZERO } else { PATIENCE };
    wait_for(&mut lines, until, |line| line.is_empty || line.has_ended);
    let until = Instant::now() + KILLED;
    while lines.iter().any(|line| !line.is_empty && !line.has_ended) && Instant::now() < until {
        for line in lines.iter_mut().filter(|line| !line.is_empty) {
            let number = line.number;
            line.ask(&Request::Kill { number });
        }
        let again = (Instant::now() + Duration::from_secs(1)).min(until);
        wait_for(&mut lines, again, |line| line.is_empty || line.has_ended);
    }
    for line in lines.iter_mut().filter(|line| line.is_empty) {
        line.ask(&Request::Release);
    }
    wait_for(&mut lines, Instant::now() + GOING, |line| line.has_ended);
    // Kill instances whose shim does not answer, and shims that have nothing left to look after.
    for name in &names {
        if let Ok(instance) = name.parse::<InstanceId>() {
            stray::kill_shim(&paths.run, &instance, None);
        }
    }
    let mut left: Vec<String> = names.into_iter().filter(|name| !stray::kill(paths, name, None, KILLED)).collect();
    left.extend(end_orphans(remains.orphans));
    if left.is_empty() {
        if let Some(folder) = remains.cgroup {
            cgroup::remove_tree(&folder);
        }
        left = sweep(paths);
    }
    Ended { left }
}

/// Removes run folders that nothing uses. Returns the instances that remain, because a process of theirs lives.
pub fn sweep(paths: &Paths) -> Vec<String> {
    if keeper_lives(paths) {
        return Vec::new();
    }
    let left: Vec<String> =
        instances(paths).into_iter().filter(|name| !stray::kill(paths, name, None, GOING)).collect();
    if left.is_empty() {
        let _ = fs::remove_dir_all(&paths.run);
        let _ = fs::remove_file(paths.state().join("run"));
    }
    left
}

/// The instances that have a run folder.
fn instances(paths: &Paths) -> Vec<String> {
    crate::run_folder::instances(&paths.run).iter().map(InstanceId::to_string).collect()
}

/// Kills the processes that the keeper took over from dead shims. Returns those that did not exit.
fn end_orphans(orphans: Vec<(u32, Handle)>) -> Vec<String> {
    let until = Instant::now() + KILLED;
    let mut left = Vec::new();
    for (pid, handle) in orphans {
        let _ = handle.send(libc::SIGKILL);
        if !ended::any_within(&[&handle], until.saturating_duration_since(Instant::now())) {
            left.push(format!("process {pid}"));
        }
    }
    left
}

/// Connects to all shims that report their state; one that does not is killed, as it would block the rest.
fn ask_all(paths: &Paths, names: &[String]) -> Vec<Line> {
    let open = |instance: InstanceId| Line::open(&paths.run, instance);
    let mut lines: Vec<Line> = names.iter().filter_map(|name| open(name.parse().ok()?)).collect();
    wait_for(&mut lines, Instant::now() + ANSWER, |line| line.is_known || line.has_ended);
    let (known, silent) = lines.into_iter().partition::<Vec<Line>, _>(|line| line.is_known);
    for line in silent {
        stray::kill_shim(&paths.run, &line.instance, line.shim);
    }
    known
}

/// Reads from all connections until `enough` is true for each, or the time is up.
fn wait_for(lines: &mut [Line], until: Instant, enough: impl Fn(&Line) -> bool) {
    loop {
        lines.iter_mut().for_each(Line::hear);
        let open: Vec<&Line> = lines.iter().filter(|line| !enough(line)).collect();
        let left = until.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return;
        }
        let mut fds: Vec<PollFd<'_>> =
            open.iter().map(|line| PollFd::new(line.fd.as_fd(), PollFlags::POLLIN)).collect();
        let _ = poll(&mut fds, PollTimeout::try_from(left.max(LOOK_AGAIN)).unwrap_or(PollTimeout::MAX));
    }
}

/// A connection to a shim, for a thread that may block, though never for long.
struct Line {
    instance: InstanceId,
    fd: OwnedFd,
    /// The process that opened the socket.
    shim: Option<u32>,
    incoming: FrameBuffer,
    number: u32,
    /// It has reported its state, in answer to us.
    is_known: bool,
    /// No process of its invocation is alive.
    is_empty: bool,
    has_ended: bool,
}

impl Line {
    fn open(run: &Path, instance: InstanceId) -> Option<Self> {
        let place = Place::new(run, &instance.to_string());
        let (fd, shim) = call(&place.socket()).ok()?;
        let mut line = Self {
            instance,
            fd,
            shim,
            incoming: FrameBuffer::default(),
            number: 0,
            is_known: false,
            is_empty: false,
            has_ended: false,
        };
        // A shim ignores a client that connects and sends nothing.
        line.ask(&Request::Kill { number: ECHO });
        Some(line)
    }

    fn ask(&mut self, request: &Request) {
        let bytes = request.encode();
        // Messages are short: one that does not fit into the empty buffer has no reader.
        if !self.has_ended && send(self.fd.as_fd(), &bytes, &[]) != Ok(bytes.len()) {
            self.has_ended = true;
        }
    }

    /// Reads what has arrived so far.
    fn hear(&mut self) {
        let mut buffer = [0; 4096];
        while !self.has_ended {
            match receive(self.fd.as_fd(), &mut buffer, &mut self.incoming.fds) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.incoming.push(&buffer[..count]),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => self.has_ended = true,
            }
        }
        while let Ok(Some((kind, fields))) = self.incoming.next_frame() {
            match Report::decode(kind, &fields) {
                Ok(Some(Report::Hello { number, life, .. })) => {
                    self.number = number;
                    self.is_empty = matches!(life, Life::Idle | Life::Exited { leftovers: false, .. });
                }
                Ok(Some(Report::Emptied { number: ECHO })) => self.is_known = true,
                Ok(Some(Report::Exited { leftovers: false, .. } | Report::Emptied { .. })) => self.is_empty = true,
                _ => {}
            }
        }
        self.incoming.fds.clear();
    }
}
