//! One stack, from `core up` to `core down`, with sequences of faults in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use super::lines::Lines;
use super::role;
use super::squeeze::Processes;
use super::tried::{Tried, found_within};
use super::world::World;
use crate::common::{Stack, free_port};

/// How long `core down` may take.
const DOWN: Duration = Duration::from_secs(40);
/// How long after it something may still be going away.
const GOING: Duration = Duration::from_secs(5);

/// A process that cannot be mistaken for another.
pub(crate) type Who = (String, u32, u64);

/// The stack, and what is known of it between two sequences.
pub(crate) struct Life {
    pub(crate) stack: Tried,
    /// Where `web` listens.
    pub(crate) port: u16,
    /// What limits processes, where this host has it.
    pub(crate) group: Option<Processes>,
    pub(crate) lines: Lines,
    /// How many of `quiet` and `forks` there may be: more than one number while nobody knows whether a command came through.
    pub(crate) quiet: BTreeSet<usize>,
    pub(crate) forks: BTreeSet<usize>,
    /// What was to be restarted, and nobody knows whether that came through.
    pub(crate) unsure: BTreeSet<&'static str>,
    /// How often `once` may have been begun.
    pub(crate) once: usize,
    pub(crate) edits: u32,
    /// Nobody knows whether the last edit was carried out: whoever reads the manifests next carries it out.
    pub(crate) is_unapplied: bool,
    /// The services at the end of the last sequence, by role.
    pub(crate) known: BTreeMap<String, BTreeSet<Who>>,
    /// Invocations of `chatty` whose last words nobody could hear.
    pub(crate) unheard: BTreeSet<String>,
}

impl Life {
    /// Brings a stack up.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn begin() -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("core-faults-").tempdir().expect("a temporary folder").keep();
        let root = fs::canonicalize(&folder).expect("the folder");
        let stack = Tried::of(Stack::at(root, None));
        let port = free_port();
        let compose = json!({"availability": {"restart": "always", "backoff_seconds": 0},
            "shutdown": {"timeout_seconds": 3}, "log_configuration": {"rotation": {"max_size_mb": 1, "max_backups": 0}}});
        for name in ["chatty", "crasher", "forks", "quiet"] {
            stack.service(&stack.name(name), &json!({"process": role::process(name, &[], &compose)}));
        }
        let mut once = compose.clone();
        once["availability"]["restart"] = "on_failure".into();
        stack.service(&stack.name("once"), &json!({"process": role::process("once", &["40"], &once)}));
        let mut web = compose;
        web["readiness_probe"] = json!({"http_get": {"port": "${port.http}"}, "period_seconds": 0.2});
        let process = role::process("web", &["${port.http}"], &web);
        stack.service(&stack.name("web"), &json!({"process": process, "ports": {"http": {"port": port}}}));
        let said = stack.begin(&["up", "-d"]).within(DOWN).ok_or("`core up` did not end")?;
        if said.code != 0 {
            return Err(format!("`core up` ended with {}: {}", said.code, said.err));
        }
        let group = Processes::make(&format!("core-faults-{}", stack.hash()));
        let lines = Lines::new(&stack, &stack.name("chatty"));
        let mut life = Self {
            stack,
            port,
            group,
            lines,
            quiet: [1].into(),
            forks: [1].into(),
            unsure: BTreeSet::new(),
            once: 1,
            edits: 0,
            is_unapplied: false,
            known: BTreeMap::new(),
            unheard: BTreeSet::new(),
        };
        let is_whole = found_within(GOING, || {
            let world = World::of(&life.stack);
            life.known = known(&world);
            (life.known.len() == 5 && life.runs("end") == 1).then_some(())
        });
        is_whole.map(|()| life).ok_or_else(|| "not all of it came up".into())
    }

    /// How often `once` has begun, or ended.
    pub(crate) fn runs(&self, word: &str) -> usize {
        role::ledger(&self.stack.root, "once").iter().filter(|(have, _, _)| have == word).count()
    }

    /// Ends the stack. Returns how long that took.
    ///
    /// # Errors
    /// Says what is left, or that it does not end.
    pub(crate) fn end(self) -> Result<Duration, (PathBuf, String)> {
        let root = self.stack.root.clone();
        let run = self.stack.run_folder();
        let began = Instant::now();
        let said = self.stack.begin(&["down"]).within(DOWN);
        let took = began.elapsed();
        let fault = match said {
            None => Some(format!("`core down` did not end within {} s", DOWN.as_secs())),
            Some(said) if said.code != 0 => Some(format!("`core down` ended with {}: {}", said.code, said.err)),
            Some(_) => {
                let is_gone = found_within(GOING, || {
                    (self.stack.left().is_empty() && !run.as_ref().is_some_and(|run| run.exists())).then_some(())
                });
                is_gone.is_none().then(|| format!("left after `core down`: {:#?}", self.stack.left()))
            }
        };
        match fault {
            Some(fault) => Err((root, fault)),
            None => {
                drop(self);
                let _ = fs::remove_dir_all(root);
                Ok(took)
            }
        }
    }
}

/// Who the services are, by role.
pub(crate) fn known(world: &World) -> BTreeMap<String, BTreeSet<Who>> {
    let mut all: BTreeMap<String, BTreeSet<Who>> = BTreeMap::new();
    for one in &world.leaders {
        let who = (one.instance.clone(), one.process.pid, one.process.started);
        all.entry(one.role.clone()).or_default().insert(who);
    }
    all.remove("once");
    all
}
