//! What must be so again after a sequence. `/proc`, the log segments, the records of ends and the services' own ledgers are
//! believed; what `core` says of itself is not.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use core_shim::record::Ended;

use super::fault::ROLES;
use super::life::known;
use super::lines::mark_of;
use super::role::{self, HELPERS};
use super::sequence::Sequence;
use super::world::World;

/// Wait statuses of what was told to end, and of what was killed.
const TOLD: [i32; 2] = [15, 9];

impl Sequence<'_> {
    /// What is not as it must be; some of it may need a moment more. What no moment mends goes to `broken`.
    pub(super) fn lacks(&mut self, world: &World) -> Vec<String> {
        let mut lacks = Vec::new();
        ours_are_there(world, &mut lacks);
        self.services_are_there(world, &mut lacks);
        self.untouched_are_same(world);
        self.lines_are_whole(world, &mut lacks);
        self.ends_are_known(&mut lacks);
        let (begun, ended, most) = (self.life.runs("begin"), self.life.runs("end"), self.life.once);
        // Where both who could know how it ended were killed, nobody does, and it may be run again.
        let blind = if self.keeper_was_killed && self.unattended.contains("once") { 2 } else { 0 };
        if begun > most + blind {
            self.broken.push(format!("the one-shot was begun {begun} times, and asked for {most} times"));
        }
        if begun != ended {
            lacks.push(format!("the one-shot was begun {begun} times, and has ended {ended} times"));
        }
        lacks
    }

    fn services_are_there(&self, world: &World, lacks: &mut Vec<String>) {
        for role in ROLES {
            let count = world.of_role(role).count();
            let is_right = match role {
                "quiet" => self.life.quiet.contains(&count),
                "forks" => self.life.forks.contains(&count),
                _ => count == 1,
            };
            if !is_right {
                lacks.push(format!("{role} is there {count} times"));
            }
        }
        let marks: Vec<&str> = world.of_role("forks").map(|one| one.mark.as_str()).collect();
        let strangers = world.helpers.iter().filter(|(mark, _)| !marks.contains(&mark.as_str())).count();
        if strangers > 0 {
            lacks.push(format!("{strangers} helpers live on without who began them"));
        }
        if world.helpers.len() != strangers + marks.len() * HELPERS {
            lacks.push(format!("{} helpers of {} are there", world.helpers.len() - strangers, marks.len() * HELPERS));
        }
        if let Some(web) = world.of_role("web").next() {
            let expected = format!("pid {}\n", web.process.pid);
            match ask(self.life.port) {
                Some(answer) if answer.ends_with(&expected) => {}
                other => lacks.push(format!("web is process {}, and the answer is {other:?}", web.process.pid)),
            }
        }
    }

    fn untouched_are_same(&mut self, world: &World) {
        let now = known(world);
        for role in ROLES.iter().filter(|role| !self.touched.contains(*role)) {
            let (before, after) = (self.life.known.get(*role), now.get(*role));
            if before != after {
                let fault = format!("nobody touched {role}: it was {before:?}, and is {after:?}");
                self.broken.push(fault);
            }
        }
    }

    /// Of the living invocation of `chatty`: its mark, and how much it has written.
    pub(super) fn floor_of_chatty(&self) -> Option<(String, u64)> {
        let world = World::of(&self.life.stack);
        let mark = world.of_role("chatty").next()?.mark.clone();
        let written = role::written(&self.life.stack.root, &mark);
        Some((mark, written))
    }

    fn lines_are_whole(&mut self, world: &World, lacks: &mut Vec<String>) {
        self.life.lines.read();
        let log = self.life.stack.own_log();
        // What could not be written is counted there.
        let is_dropped = log.lines().any(|line| line.contains("chatty") && line.contains("were dropped"));
        if !is_dropped {
            self.broken.extend(self.life.lines.broken().iter().cloned());
        }
        let Some(living) = world.of_role("chatty").next().map(|one| one.mark.clone()) else { return };
        match self.floor.clone() {
            Some((mark, floor)) if mark == living => {
                let (written, there) = (role::written(&self.life.stack.root, &mark), self.life.lines.count(&mark));
                if written <= floor || there < floor {
                    lacks.push(format!("chatty has written {written} lines, {there} are there; it was at {floor}"));
                }
            }
            _ => self.floor = self.floor_of_chatty(),
        }
        // Whatever ends while nobody has its pipe open takes with it what is in there.
        let is_unheard = self.touched.contains("chatty") && self.unattended.contains("chatty");
        let marks: Vec<String> = self.life.lines.marks().map(str::to_owned).collect();
        for mark in marks.iter().filter(|mark| **mark != living) {
            if self.life.unheard.contains(mark) {
                continue;
            }
            let (written, there) = (role::written(&self.life.stack.root, mark), self.life.lines.count(mark));
            if there < written && is_unheard {
                self.life.unheard.insert(mark.clone());
            } else if there < written && !is_dropped {
                lacks.push(format!("of {written} lines that chatty wrote before it ended {there} are there"));
            }
        }
    }

    /// The records of what ended in this sequence say what the ledgers say.
    fn ends_are_known(&self, lacks: &mut Vec<String>) {
        let stack = &self.life.stack;
        let Some(run) = stack.run_folder() else { return };
        for folder in fs::read_dir(run).into_iter().flatten().flatten() {
            let instance = folder.file_name().to_string_lossy().into_owned();
            let Some((slot, generation)) = instance.split_once('@') else { continue };
            let service = slot.rsplit_once('-').map_or(slot, |(service, _)| service);
            let Some(role) = stack.role(service) else { continue };
            let Ok(end) = Ended::read(&stack.place(&instance).exit()) else { continue };
            if end.wall_ns < self.began_ns {
                continue;
            }
            let logs = stack.root.join(".core-stack/logs").join(service).join(slot);
            let Some(mark) = mark_of(&logs, &format!("{generation}.{}", end.number)) else { continue };
            let entries = role::ledger(&stack.root, role);
            let said = entries.iter().find(|(word, have, _)| word == "end" && *have == mark).map(|(_, _, code)| *code);
            let is_blind = self.keeper_was_killed && self.unattended.contains(role);
            let is_right = match said.and_then(|code| i32::try_from(code).ok()) {
                Some(code) => end.status == code << 8,
                None => TOLD.contains(&end.status),
            };
            if !(is_right || is_blind && end.status == -1) {
                lacks.push(format!(
                    "{instance}, invocation {}: the record says {}, its ledger {said:?}",
                    end.number, end.status
                ));
            }
        }
    }
}

/// One keeper, one supervisor, and one shim over each service that lives.
fn ours_are_there(world: &World, lacks: &mut Vec<String>) {
    let pids = |all: &[crate::common::proc::Process]| all.iter().map(|one| one.pid).collect::<Vec<_>>();
    for (what, all) in [("keeper", &world.keepers), ("supervisor", &world.supervisors)] {
        if all.len() != 1 {
            lacks.push(format!("there is not one {what}: {:?}", pids(all)));
        }
    }
    if let ([keeper], [supervisor]) = (&*world.keepers, &*world.supervisors)
        && supervisor.parent != keeper.pid
    {
        lacks.push(format!("supervisor {} is no child of keeper {}", supervisor.pid, keeper.pid));
    }
    lacks.extend(world.unborn.iter().map(|one| format!("process {} was forked, and is nothing yet", one.pid)));
    for one in world.ours().into_iter().filter(|one| one.state == 'T') {
        lacks.push(format!("process {} is held: {:?}", one.pid, one.args[0]));
    }
    for one in &world.zombies {
        lacks.push(format!("process {} has ended, and {} does not fetch it", one.pid, one.parent));
    }
    let mut instances: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for one in &world.leaders {
        instances.entry(&one.instance).or_default().0 += 1;
    }
    for (name, _) in &world.shims {
        instances.entry(name).or_default().1 += 1;
    }
    for (name, (services, shims)) in instances {
        if services != shims {
            lacks.push(format!("{name}: {services} processes of the service, {shims} shims"));
        }
    }
}

/// Asks `web` who it is.
fn ask(port: u16) -> Option<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").ok()?;
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with('\n') || !answer.contains("\r\n\r\npid") {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    Some(answer)
}
