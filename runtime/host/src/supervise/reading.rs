//! The manifests: read beside the loop, in a thread that may block, one reading at a time.

use std::collections::{BTreeMap, BTreeSet};

use core_engine::Topology;
use core_engine::event::{Command, Event, Loaded};
use core_engine::plan::Plan;
use core_engine::record::Cause;
use core_manifest::origin::Origin;
use core_manifest::{Diagnostic, Identifier, Problem, ServiceName};
use tokio::sync::{mpsc, oneshot};

use super::Supervisor;
use super::job::Job;
use crate::api::Refusal;
use crate::compose;
use crate::deps;
use crate::journal::Journal;
use crate::launch::Launch;
use crate::load::{self, Locator, Options, Stack, Wanted};
use crate::logs::Retention;
use crate::net::{Listening, owner_in_words};
use crate::watch::Fingerprint;

/// Why the manifests are read.
pub(super) enum Purpose {
    /// To carry out what they say.
    Apply {
        /// Who wants it.
        by: Cause,
        /// Who waits for the number of the operation.
        answer: Option<oneshot::Sender<Result<u64, Refusal>>>,
    },
    /// To say what carrying them out would do.
    Plan(oneshot::Sender<Result<Plan, Vec<Problem>>>),
    /// Because a source could not give its binary; the folder that was asked for, and why.
    OtherSource { folder: String, reason: String },
}

/// What a reading brought.
pub(super) struct Outcome {
    purpose: Purpose,
    result: Result<Box<Stack>, Vec<Diagnostic>>,
    /// What variables and secrets are, whatever is wrong.
    values: BTreeMap<Origin, String>,
    locator: Locator,
    /// What was read.
    fingerprint: Fingerprint,
    /// Who listened then.
    listening: Listening,
}

/// What is known of the manifests.
pub(super) struct Reading {
    profile: Option<String>,
    select: Vec<String>,
    /// Edits wait for whoever asks for them, whatever the manifests say.
    no_watch: bool,
    /// What was read last to be carried out.
    read: Option<Fingerprint>,
    /// What is in the files now, where nobody has looked at that yet.
    edited: Option<Fingerprint>,
    known: Option<Known>,
    topology_file: compose::Writer,
    /// At home while nothing is being read.
    locator: Option<Locator>,
    waiting: Vec<Purpose>,
    failed_sources: BTreeMap<(String, usize), String>,
    /// Folders of `.dep/` that were looked through: nobody else could change them.
    sound: BTreeSet<String>,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

/// What is kept of the manifests that are carried out. The rest of what was read is many times as large.
pub(super) struct Known {
    pub(super) topology: Topology,
    wanted: BTreeMap<String, Wanted>,
    ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    watch: bool,
}

impl Reading {
    pub(super) fn new(
        profile: Option<String>,
        launch: &Launch,
        topology_file: compose::Writer,
        outcomes: mpsc::UnboundedSender<Outcome>,
    ) -> Self {
        Self {
            profile,
            select: launch.services.clone(),
            no_watch: launch.no_watch,
            read: None,
            edited: None,
            known: None,
            topology_file,
            locator: Some(Locator::default()),
            waiting: Vec::new(),
            failed_sources: BTreeMap::new(),
            sound: BTreeSet::new(),
            outcomes,
        }
    }

    pub(super) fn profile(&self) -> String {
        self.profile.clone().unwrap_or_else(|| "local".into())
    }

    /// How another supervisor of this stack is to be started.
    pub(super) fn launch(&self, ours: &Launch) -> Launch {
        Launch { profile: Some(self.profile()), ..ours.clone() }
    }

    /// Whether the manifests have never been good, and are being read now.
    pub(super) fn is_first(&self) -> bool {
        self.known.is_none() && self.locator.is_none()
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Whether edits are carried out as they are saved. While no manifests were ever good, every edit may mend them.
    fn watches(&self) -> bool {
        !self.no_watch && self.known.as_ref().is_none_or(|known| known.watch)
    }

    pub(super) fn retention(&self) -> Retention {
        let specs = self.known.iter().flat_map(|known| known.topology.services.values());
        Retention { limits: specs.map(|spec| (spec.name.to_string(), spec.log.clone())).collect() }
    }

    pub(super) fn job(&self, folder: &str) -> Option<Job> {
        let all = &self.known.as_ref()?.wanted;
        let wanted = all.get(folder)?.clone();
        let tool = wanted.tool.as_ref().and_then(|(_, folder)| folder.clone());
        let tool = tool.and_then(|folder| Some((folder.clone(), all.get(&folder)?.clone())));
        Some(Job { folder: folder.to_owned(), wanted, tool })
    }
}

impl Supervisor {
    /// Reads the manifests for the first time.
    pub(super) fn read(&mut self, by: Cause) {
        self.begin_reading(Purpose::Apply { by, answer: None });
    }

    pub(super) fn begin_reading(&mut self, purpose: Purpose) {
        let Some(mut locator) = self.reading.locator.take() else {
            self.reading.waiting.push(purpose);
            return;
        };
        let mut ports: BTreeMap<(ServiceName, u32, Identifier), u16> = self.engine.saved().ports();
        if let Some(known) = self.reading.known() {
            ports.extend(known.ports.clone());
        }
        // Who asks for it begins with the first source again.
        if matches!(purpose, Purpose::Apply { answer: Some(_), .. }) {
            self.reading.failed_sources.clear();
        }
        let options = Options {
            profile: Some(self.reading.profile()),
            ports,
            busy: BTreeSet::new(),
            make_secrets: matches!(purpose, Purpose::Apply { .. }),
            // Its own stack: they run already.
            runs_programs: true,
            failed_sources: self.reading.failed_sources.clone(),
        };
        let ours: BTreeSet<u16> = options.ports.values().copied().filter(|port| self.engine.has_port(*port)).collect();
        let (paths, outcomes) = (self.paths.clone(), self.reading.outcomes.clone());
        tokio::task::spawn_blocking(move || {
            let listening = Listening::read();
            let mut options = Options { busy: listening.ports(), ..options };
            // A port that nobody of ours has is not kept when somebody else has it by now.
            options.ports.retain(|_, port| ours.contains(port) || !options.busy.contains(port));
            // Before they are read: an edit meanwhile makes a difference to this.
            let fingerprint = Fingerprint::of(&paths.root);
            let (result, values) = load::read(&paths, &options, &mut locator);
            let mut result = result.map(Box::new);
            if matches!(purpose, Purpose::Apply { .. })
                && let Err(fault) = Journal::room(&paths)
            {
                result = Err(result.err().into_iter().flatten().chain([*fault]).collect());
            }
            let _ = outcomes.send(Outcome { purpose, result, values, locator, fingerprint, listening });
        });
    }

    pub(super) fn take_reading(&mut self, outcome: Outcome) {
        let Outcome { purpose, result, values, locator, fingerprint, listening } = outcome;
        self.reading.locator = Some(locator);
        // What was saved goes on with them, also while manifests are broken.
        self.shims.environment.remember(values);
        if !matches!(purpose, Purpose::Plan(_)) {
            self.reading.read = Some(fingerprint);
        }
        let problems = |faults: &[Diagnostic]| faults.iter().map(Diagnostic::problem).collect::<Vec<_>>();
        match (purpose, result) {
            (Purpose::Apply { by, answer }, Ok(stack)) => {
                self.apply(stack, &listening, answer.is_some());
                let operation = self.operate(Command::Settle, by);
                if let Some(answer) = answer {
                    self.tell_when_saved(Box::new(move |saved| {
                        let refusal = |unsaved: &str| Refusal::Unsaved(unsaved.to_owned());
                        let _ = answer.send(saved.map(|()| operation).map_err(refusal));
                    }));
                }
                self.after_first_reading();
            }
            (Purpose::Apply { by, answer }, Err(faults)) => {
                let problems = problems(&faults);
                self.give(&Event::Rejected(problems.clone()));
                self.operate(Command::Settle, by);
                if let Some(answer) = answer {
                    let _ = answer.send(Err(Refusal::Broken(problems)));
                }
                self.after_first_reading();
            }
            (Purpose::Plan(answer), Ok(stack)) => {
                let _ = answer.send(Ok(self.engine.plan_for(&stack.topology, false)));
            }
            (Purpose::Plan(answer), Err(faults)) => {
                let _ = answer.send(Err(problems(&faults)));
            }
            (Purpose::OtherSource { folder, reason }, Ok(stack)) => {
                self.apply(stack, &listening, false);
                self.operate(Command::Settle, Cause::Source);
                match self.reading.job(&folder) {
                    // The other source lands in the same folder, which the engine has asked for already.
                    Some(job) => self.jobs.begin(job, &self.paths, &self.progress, &self.inbox),
                    // Nobody waits for that folder now; it may be asked for again.
                    None => self.give(&Event::Prepared { folder, result: Err(reason) }),
                }
            }
            (Purpose::OtherSource { folder, reason }, Err(_)) => {
                // No source is left: now it is told, with what is wrong with those that are never fetched from.
                let wanted = self.reading.known().and_then(|known| known.wanted.get(&folder));
                let refused = wanted.and_then(|wanted| self.reading.locator.as_ref()?.refused(&wanted.binary));
                let reason = refused.map_or(reason, str::to_owned);
                self.give(&Event::Prepared { folder, result: Err(reason) });
            }
        }
        if !self.reading.waiting.is_empty() {
            let purpose = self.reading.waiting.remove(0);
            self.begin_reading(purpose);
        }
        self.follow_edits();
    }

    /// This is in the files now.
    pub(super) fn edited(&mut self, fingerprint: Fingerprint) {
        self.reading.edited = Some(fingerprint);
        self.follow_edits();
    }

    /// Reads the manifests where what is in them was never read. One reading at a time: what was edited during one is
    /// looked at when it is over.
    fn follow_edits(&mut self) {
        if self.reading.locator.is_none() || !self.reading.watches() {
            return;
        }
        let Some(edited) = self.reading.edited.take() else { return };
        if self.reading.read != Some(edited) {
            crate::say("the manifests were edited");
            self.begin_reading(Purpose::Apply { by: Cause::Edit, answer: None });
        }
    }

    /// Who listens on fixed ports of a topology that nobody of ours has.
    fn strangers(&self, topology: &Topology, listening: &Listening) -> BTreeMap<u16, String> {
        let numbers = topology.services.values().flat_map(|spec| spec.ports.values()).filter_map(|port| port.number);
        let is_strange = |port: &u16| !listening.sockets(*port).is_empty() && !self.engine.has_port(*port);
        numbers.filter(is_strange).map(|port| (port, owner_in_words(listening.sockets(port)))).collect()
    }

    fn apply(&mut self, mut stack: Box<Stack>, listening: &Listening, again: bool) {
        self.announcements.append(&mut stack.announcements);
        let loaded = Loaded {
            topology: stack.topology.clone(),
            present: deps::present(&self.paths, &mut self.reading.sound),
            ports: stack.ports.clone(),
            range: stack.range.clone(),
            strangers: self.strangers(&stack.topology, listening),
            again,
            select: self.reading.select.iter().filter_map(|name| ServiceName::made(name).ok()).collect(),
        };
        let held: BTreeSet<(String, String)> = stack
            .topology
            .services
            .values()
            .flat_map(|spec| spec.held_ports().map(|(name, _)| (spec.name.to_string(), name.to_string())))
            .collect();
        let cuts: Vec<(ServiceName, u64)> = stack
            .topology
            .services
            .values()
            .filter(|spec| {
                let before = self.reading.known().and_then(|known| known.topology.services.get(&spec.name));
                before.is_some_and(|before| before.log.segment_bytes != spec.log.segment_bytes)
            })
            .map(|spec| (spec.name.clone(), spec.log.segment_bytes))
            .collect();
        let (topology, wanted, ports) = (stack.topology.clone(), stack.wanted.clone(), stack.ports.clone());
        self.reading.known = Some(Known { topology, wanted, ports, watch: stack.watch });
        self.hidden.learn_from(&stack.hidden);
        self.reading.topology_file.begin(stack);
        self.give(&Event::Loaded(loaded));
        for (service, segment_bytes) in cuts {
            self.shims.limit_log(&service, segment_bytes);
        }
        self.sweep();
        self.logs.keep(self.reading.retention());
        self.shims.keep_held(|service, port| held.contains(&(service.to_owned(), port.to_owned())));
    }

    fn after_first_reading(&mut self) {
        while let Some((command, by, answer)) = self.early.pop_front() {
            self.operate_for(command, by, answer);
        }
    }

    /// Why a binary is not available, from all of its sources that were looked at.
    pub(super) fn all_reasons(&self, folder: &str, reason: &str) -> String {
        let Some(wanted) = self.reading.known().and_then(|known| known.wanted.get(folder)) else {
            return reason.to_owned();
        };
        let last = format!("{}: {reason}", wanted.source.word());
        wanted.earlier.iter().cloned().chain([last]).collect::<Vec<_>>().join("; ")
    }

    /// A binary is not available: another source is tried, where there is one.
    pub(super) fn try_other_source(&mut self, folder: &str, reason: &str) -> bool {
        let Some(wanted) = self.reading.known().and_then(|known| known.wanted.get(folder)) else { return false };
        if wanted.index + 1 >= wanted.sources {
            return false;
        }
        let key = (wanted.binary.clone(), wanted.index);
        self.reading.failed_sources.insert(key, reason.to_owned());
        self.begin_reading(Purpose::OtherSource { folder: folder.to_owned(), reason: reason.to_owned() });
        true
    }
}
