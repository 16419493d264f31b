//! The end of a stack without a supervisor: the shims are asked directly, then the keeper.

use std::fs;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use core_engine::InstanceId;
use core_shim::place::Place;
use core_shim::record::Invocation;
use core_shim::wire::{FrameBuffer, Life, Report, Request, Scope};
use core_shim::{guard, sys, tree};
use nix::libc;

use crate::ended;
use crate::paths::Paths;

/// How long services are given before they are killed. Their manifests may be gone; this is the common default.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a killed tree may take to vanish.
const KILLED: Duration = Duration::from_secs(10);
/// How long until one looks again for what was forked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How that went.
#[derive(Debug, Default)]
pub struct Ended {
    /// What is still there.
    pub left: Vec<String>,
}

/// Whether a keeper holds this stack.
pub fn keeper_lives(paths: &Paths) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(paths.run.join("keeper")) else { return false };
    // Whoever can take the lock is alone.
    !guard::try_lock(&file).unwrap_or(true)
}

/// Ends everything: services by their shims, then keeper and supervisor.
pub async fn end(paths: &Paths, kill: bool) -> Ended {
    let paths = paths.clone();
    tokio::task::spawn_blocking(move || end_now(&paths, kill)).await.unwrap_or_default()
}

fn end_now(paths: &Paths, kill: bool) -> Ended {
    // First the keeper, or it would start what has just been ended. Its shims live on without it.
    end_keeper(paths);
    let mut lines: Vec<(String, Line)> = Vec::new();
    let mut left = Vec::new();
    for entry in fs::read_dir(&paths.run).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<InstanceId>().is_err() {
            continue;
        }
        let place = Place::new(&paths.run, &name);
        match Line::open(&place) {
            Some(line) => lines.push((name, line)),
            None if lives_unattended(&place) => left.push(name),
            None => {}
        }
    }
    for (_, line) in &mut lines {
        let number = line.number;
        let request = if kill {
            Request::Kill { number }
        } else {
            Request::Signal { number, signal: libc::SIGTERM, scope: Scope::Group }
        };
        line.ask(&request);
    }
    let until = Instant::now() + if kill { Duration::ZERO } else { PATIENCE };
    for (_, line) in &mut lines {
        line.wait_empty(until);
    }
    for (name, line) in &mut lines {
        let until = Instant::now() + KILLED;
        while !line.is_empty && Instant::now() < until {
            let number = line.number;
            line.ask(&Request::Kill { number });
            line.wait_empty(Instant::now() + Duration::from_secs(1));
        }
        if line.is_empty {
            line.ask(&Request::Release);
        } else {
            left.push(name.clone());
        }
    }
    // Without a shim: killed by its record, when that can still be told to be it.
    left.retain(|name| !kill_unattended(&Place::new(&paths.run, name)));
    if left.is_empty() {
        sweep(paths);
    }
    Ended { left }
}

/// Takes away what nobody needs any more.
pub fn sweep(paths: &Paths) {
    if !keeper_lives(paths) {
        let _ = fs::remove_dir_all(&paths.run);
        let _ = fs::remove_file(paths.state().join("run"));
    }
}

/// Kills keeper and supervisor, if the lock still is that keeper's.
pub fn end_keeper(paths: &Paths) {
    let Ok(text) = fs::read_to_string(paths.run.join("keeper")) else { return };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let (Some(pid), Some(ticks)) = (field("pid"), field("start_ticks")) else { return };
    let Ok(pid) = u32::try_from(pid) else { return };
    if !keeper_lives(paths) {
        return;
    }
    // Held first, then looked at: what is held is what is killed.
    let children: Vec<(u32, std::os::fd::OwnedFd)> =
        tree::descendants(pid).into_iter().filter_map(|child| Some((child, sys::pidfd(child).ok()?))).collect();
    let Ok(handle) = sys::pidfd(pid) else { return };
    if sys::identity(pid).is_none_or(|(have, _)| have != ticks) {
        return;
    }
    // Held still first: neither is to start the other again.
    tree::send(&handle, libc::SIGSTOP);
    for (child, handle) in children {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let is_supervisor = line.split(|byte| *byte == 0).nth(1) == Some(b"supervise");
        if is_supervisor {
            tree::send(&handle, libc::SIGKILL);
        }
    }
    tree::send(&handle, libc::SIGKILL);
}

fn lives_unattended(place: &Place) -> bool {
    Invocation::read(&place.invocation())
        .is_ok_and(|record| guard::is_alive(&record) || !guard::marked(&record.mark).is_empty())
}

fn kill_unattended(place: &Place) -> bool {
    let Ok(record) = Invocation::read(&place.invocation()) else { return true };
    let until = Instant::now() + KILLED;
    while Instant::now() < until {
        let handles: Vec<_> =
            guard::marked(&record.mark).into_iter().filter_map(|pid| Some((pid, sys::pidfd(pid).ok()?))).collect();
        if handles.is_empty() && !guard::is_alive(&record) {
            return true;
        }
        let still = guard::marked(&record.mark);
        for (pid, handle) in &handles {
            if still.contains(pid) {
                tree::send(handle, libc::SIGKILL);
            }
        }
        // What has ended shows itself by its descriptor; what can be told by its record alone, by the next look.
        ended::any_within(&handles.iter().map(|(_, handle)| handle).collect::<Vec<_>>(), LOOK_AGAIN);
    }
    false
}

/// A line to a shim, spoken on from a thread that may block.
struct Line {
    stream: UnixStream,
    incoming: FrameBuffer,
    number: u32,
    is_empty: bool,
}

impl Line {
    fn open(place: &Place) -> Option<Self> {
        let stream = UnixStream::connect(place.socket()).ok()?;
        let mut line = Self { stream, incoming: FrameBuffer::default(), number: 0, is_empty: false };
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            if let Report::Hello { number, life, .. } = line.next(until)? {
                line.number = number;
                line.is_empty = matches!(life, Life::Idle | Life::Exited { leftovers: false, .. });
                return Some(line);
            }
        }
    }

    fn ask(&mut self, request: &Request) {
        let _ = self.stream.write_all(&request.encode());
    }

    fn wait_empty(&mut self, until: Instant) {
        while !self.is_empty {
            match self.next(until) {
                Some(Report::Exited { leftovers: false, .. } | Report::Emptied { .. }) => self.is_empty = true,
                Some(_) => {}
                None => return,
            }
        }
    }

    fn next(&mut self, until: Instant) -> Option<Report> {
        loop {
            if let Ok(Some((kind, fields))) = self.incoming.next_frame() {
                if let Ok(Some(report)) = Report::decode(kind, &fields) {
                    return Some(report);
                }
                continue;
            }
            let patience = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.stream.set_read_timeout(Some(patience)).ok()?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) => self.incoming.push(&buffer[..count]),
                _ => return None,
            }
        }
    }
}
