//! Reads the manifests in a thread that may block, one reading at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use core_engine::Topology;
use core_engine::action::Hook;
use core_engine::command::Deploying;
use core_engine::event::{Event, FailedSources, Loaded, Purpose, Rejected, SourceChoice};
use core_engine::folder::release_of;
use core_engine::record::Cause;
use core_engine::trial::Trial;
use core_manifest::origin::Origin;
use core_manifest::{Diagnostic, Identifier, Problem, ServiceName};
use core_stack::{Stack, Wanted};
use tokio::sync::mpsc;

use super::Supervisor;
use super::job::{Job, Order};
use crate::binaries::{self, Locator};
use crate::compose;
use crate::edge::Keys;
use crate::hooks;
use crate::identity;
use crate::journal::Journal;
use crate::launch::Launch;
use crate::load::{self, Options};
use crate::net::{Listening, owner_in_words};
use crate::paths::Paths;
use crate::rehearsal::Rehearsal;
use crate::releases;
use crate::watch::Fingerprint;

/// The result of a reading.
pub(super) struct Outcome {
    purpose: Purpose,
    result: Result<Box<Stack>, Vec<Diagnostic>>,
    /// The values of variables and secrets, even if there are errors.
    values: BTreeMap<Origin, String>,
    locator: Locator,
    rehearsal: Rehearsal,
    /// What the files contained.
    fingerprint: Fingerprint,
    /// Which sockets listened at that time.
    listening: Listening,
    /// What lets people see previews, if the manifests are carried out.
    keys: Option<BTreeMap<ServiceName, Keys>>,
}

/// What the supervisor knows about the manifests.
pub(super) struct Reading {
    profile: Option<String>,
    select: Vec<String>,
    known: Option<Known>,
    topology_file: compose::Writer,
    /// A default value while a reading uses it.
    locator: Locator,
    /// The same.
    rehearsal: Rehearsal,
    /// Folders of `.dep/` that were checked: only trusted users could change them.
    sound: BTreeSet<String>,
    /// The same of releases.
    sound_releases: BTreeSet<String>,
    /// What lets people see each preview, since the manifests were last carried out.
    keys: BTreeMap<ServiceName, Keys>,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

/// What is kept of the applied manifests. The rest of a reading is many times as large.
pub(super) struct Known {
    pub(super) topology: Topology,
    wanted: BTreeMap<String, Wanted>,
    ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
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
            known: None,
            topology_file,
            locator: Locator::default(),
            rehearsal: Rehearsal::default(),
            sound: BTreeSet::new(),
            sound_releases: BTreeSet::new(),
            keys: BTreeMap::new(),
            outcomes,
        }
    }

    pub(super) fn profile(&self) -> String {
        self.profile.clone().unwrap_or_else(|| "local".into())
    }

    /// How to start another supervisor of this stack.
    pub(super) fn launch(&self, ours: &Launch) -> Launch {
        Launch { profile: Some(self.profile()), ..ours.clone() }
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// What lets people see a preview, if that is known by now.
    pub(super) fn keys_of(&self, trial: &ServiceName) -> Option<&Keys> {
        self.keys.get(trial)
    }

    /// The download or build that makes a folder.
    fn job(&self, folder: &str) -> Option<(Order, BTreeMap<String, Wanted>)> {
        let all = &self.known.as_ref()?.wanted;
        let tool = all.get(folder)?.tool.as_ref().and_then(|(_, folder)| folder.clone());
        let needed = [Some(folder.to_owned()), tool].into_iter().flatten();
        let all =
            needed.filter_map(|folder| all.get_key_value(&folder)).map(|(folder, one)| (folder.clone(), one.clone()));
        Some((Order::Folder(folder.to_owned()), all.collect()))
    }

    /// What has landed and is sound.
    fn present(&mut self, paths: &Paths) -> BTreeSet<String> {
        let mut all = binaries::present(paths, &mut self.sound);
        all.retain(|folder| releases::holds(paths, folder));
        all.append(&mut releases::present(paths, &mut self.sound_releases));
        all
    }
}

impl Supervisor {
    /// Starts a reading of the manifests.
    pub(super) fn read(
        &mut self,
        purpose: Purpose,
        failed_sources: FailedSources,
        releases: BTreeMap<ServiceName, String>,
        trials: BTreeMap<ServiceName, Trial>,
    ) {
        if let Purpose::Apply { by: Cause::Edit, .. } = purpose {
            tracing::info!("the manifests were edited");
        }
        let is_carried_out = matches!(purpose, Purpose::Apply { .. });
        let asked = if let Purpose::Plan { question } = purpose { self.askers.profile_of(question) } else { None };
        let profile = asked.unwrap_or_else(|| self.reading.profile());
        let options = Options {
            profile: Some(profile),
            ports: self.given_ports(),
            busy: BTreeSet::new(),
            taken: BTreeSet::new(),
            make_secrets: is_carried_out,
            // The stack that runs these programs anyway.
            runs_programs: true,
            failed_sources,
            releases,
            trials,
        };
        let ours: BTreeSet<u16> = options.ports.values().copied().filter(|port| self.engine.has_port(*port)).collect();
        let held = self.engine.ports_in_use();
        let (paths, outcomes) = (self.paths.clone(), self.reading.outcomes.clone());
        let mut locator = std::mem::take(&mut self.reading.locator);
        let mut rehearsal = std::mem::take(&mut self.reading.rehearsal);
        // What others could have changed is not run.
        let sound = self.reading.sound.iter().map(|folder| self.paths.dep().join(folder)).collect::<Vec<_>>();
        tokio::task::spawn_blocking(move || {
            let listening = Listening::read();
            let busy = listening.ports();
            let taken = busy.difference(&held).copied().collect();
            let mut options = Options { busy, taken, ..options };
            // A port that no instance of the stack uses is given up if another process listens on it by now.
            options.ports.retain(|_, port| ours.contains(port) || !options.busy.contains(port));
            // Before the files are read, so that an edit during the reading is noticed.
            let fingerprint = Fingerprint::of(&paths.root);
            let began = Instant::now();
            let (result, values) = load::read(&paths, &options, &mut locator);
            tracing::debug!(?purpose, is_good = result.is_ok(), took = ?began.elapsed(), "the manifests were read");
            let mut result = result.map(Box::new);
            let may_run = |program: &Path| {
                sound.iter().any(|folder| program.starts_with(folder)) || !program.starts_with(paths.dep())
            };
            // A plan has not written what it would use.
            let carried_out = result.as_ref().ok().filter(|_| is_carried_out);
            if let Some(fault) = carried_out.and_then(|stack| rehearsal.take(&paths, stack, may_run)) {
                result = Err(vec![fault]);
            }
            if is_carried_out && let Err(fault) = Journal::room(&paths) {
                result = Err(result.err().into_iter().flatten().chain([*fault]).collect());
            }
            // Here, since a disk may be slow, and the first preview needs a password.
            let stack = result.as_ref().ok().filter(|_| is_carried_out);
            let keys = stack.map(|stack| keys(&paths, &options.trials, identity::edge_user(&stack.topology)));
            let _ =
                outcomes.send(Outcome { purpose, result, values, locator, rehearsal, fingerprint, listening, keys });
        });
    }

    /// What must not be deleted: all that runs, and all that the manifests name.
    pub(super) fn needed_of(&self, service: &ServiceName) -> releases::Needed {
        let mut needed = releases::Needed::default();
        let running = self.engine.instances().filter_map(|(id, ..)| self.engine.spec(id));
        let wanted = self.engine.releases();
        needed.releases.extend(wanted.into_iter().filter(|(name, _)| name.parent() == *service).map(|(_, id)| id));
        needed.releases.extend(self.engine.release_before(service).map(str::to_owned));
        for spec in running {
            needed.dep.extend(spec.binaries.values().filter_map(|binary| binary.folder.clone()));
            needed.releases.extend(spec.release.clone().filter(|_| spec.name.parent() == *service));
        }
        let wanted = self.reading.known().into_iter().flat_map(|known| &known.wanted);
        for (folder, one) in wanted {
            needed.dep.insert(folder.clone());
            if folder.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('/')) {
                needed.keep = one.building.keep.map(|keep| keep as usize);
            }
        }
        needed
    }

    /// Whether the manifest of a service has this hook.
    pub(super) fn has_hook(&self, service: &ServiceName, hook: Hook) -> bool {
        let wanted = self.reading.known().into_iter().flat_map(|known| &known.wanted);
        let of_service = |folder: &str| release_of(folder).is_some_and(|(name, _)| name == service.as_str());
        wanted.filter(|(folder, _)| of_service(folder)).any(|(_, one)| hooks::line(&one.building.hooks, hook).is_some())
    }

    /// The ports that were given by name.
    fn given_ports(&self) -> BTreeMap<(ServiceName, u32, Identifier), u16> {
        let mut ports = self.engine.saved().ports();
        if let Some(known) = self.reading.known() {
            ports.extend(known.ports.clone());
        }
        ports
    }

    /// How the manifests are read for a job.
    pub(super) fn options_of_jobs(&self) -> Options {
        Options {
            profile: Some(self.reading.profile()),
            ports: self.given_ports(),
            releases: self.engine.releases(),
            runs_programs: true,
            ..Options::default()
        }
    }

    /// The job that makes a folder, if the manifests say how.
    pub(super) fn job(&self, folder: &str) -> Option<Job> {
        let (order, all) = self.reading.job(folder)?;
        // Only a release may have to read the manifests again. What is given by now is much to look up.
        let options = if release_of(folder).is_some() { self.options_of_jobs() } else { Options::default() };
        Some(Job { order, all, options })
    }

    /// The job that makes a release of a service.
    pub(super) fn job_of_release(&self, operation: u64, service: &ServiceName, how: Deploying, by: Cause) -> Job {
        let order = Order::Release { operation, service: service.clone(), how, by };
        Job { order, all: BTreeMap::new(), options: self.options_of_jobs() }
    }

    /// Handles the result of a reading.
    pub(super) fn take_reading(&mut self, outcome: Outcome) {
        let Outcome { purpose, result, values, locator, rehearsal, fingerprint, listening, keys } = outcome;
        self.reading.keys = keys.unwrap_or_else(|| std::mem::take(&mut self.reading.keys));
        let refused = locator.all_refused().clone();
        self.reading.locator = locator;
        self.reading.rehearsal = rehearsal;
        // The saved state uses these values too, even if the manifests are invalid.
        self.shims.environment.remember(values);
        let fingerprint = fingerprint.number();
        match result {
            Ok(stack) if matches!(purpose, Purpose::Plan { .. }) => {
                let topology = stack.topology.clone();
                self.give(&Event::Loaded(Loaded { topology, fingerprint, ..Loaded::default() }));
            }
            Ok(stack) => {
                self.carry_out_manifests(stack, &listening, fingerprint);
                self.follow_certificates();
            }
            Err(faults) => {
                let problems: Vec<Problem> = faults.iter().map(Diagnostic::problem).collect();
                if matches!(purpose, Purpose::Apply { .. }) {
                    for problem in &problems {
                        tracing::warn!(service = problem.service.as_deref(), "{problem}");
                    }
                }
                self.give(&Event::Rejected(Rejected { problems, refused, fingerprint }));
            }
        }
    }

    /// Other processes that listen on fixed ports of the topology.
    fn strangers(&self, topology: &Topology, listening: &Listening) -> BTreeMap<u16, String> {
        let numbers = topology.services.values().flat_map(|spec| spec.ports.values()).filter_map(|port| port.number);
        let is_strange = |port: &u16| !listening.sockets(*port).is_empty() && !self.engine.has_port(*port);
        numbers.filter(is_strange).map(|port| (port, owner_in_words(listening.sockets(port)))).collect()
    }

    fn carry_out_manifests(&mut self, mut stack: Box<Stack>, listening: &Listening, fingerprint: u64) {
        self.announcements.append(&mut stack.announcements);
        let choice = |wanted: &Wanted| SourceChoice {
            binary: wanted.binary.clone(),
            index: wanted.index,
            count: wanted.sources,
            kind: wanted.source.word().to_owned(),
            earlier: wanted.earlier.clone(),
        };
        let loaded = Loaded {
            topology: stack.topology.clone(),
            present: self.reading.present(&self.paths),
            ports: stack.ports.clone(),
            range: stack.range.clone(),
            strangers: self.strangers(&stack.topology, listening),
            sources: stack.wanted.iter().map(|(folder, wanted)| (folder.clone(), choice(wanted))).collect(),
            releases: releases_of(&stack.topology),
            fingerprint,
            follows_edits: stack.watch,
            select: self.reading.select.iter().filter_map(|name| ServiceName::made(name).ok()).collect(),
        };
        let (topology, wanted, ports) = (stack.topology.clone(), stack.wanted.clone(), stack.ports.clone());
        self.reading.known = Some(Known { topology, wanted, ports });
        self.hidden.learn_from(&stack.hidden);
        self.reading.topology_file.begin(stack);
        self.give(&Event::Loaded(loaded));
        self.sweep();
        self.admit_people();
    }
}

/// What lets people see each preview of these.
fn keys(paths: &Paths, trials: &BTreeMap<ServiceName, Trial>, reader: Option<u32>) -> BTreeMap<ServiceName, Keys> {
    let previews = trials.iter().filter(|(_, trial)| matches!(trial, Trial::Preview { .. }));
    let of = |name: &ServiceName| {
        let keys = releases::preview_keys(paths, name, reader);
        keys.inspect_err(|error| tracing::warn!(service = %name, "nobody can see it: its password: {error}")).ok()
    };
    previews.filter_map(|(name, _)| Some((name.clone(), of(name)?))).collect()
}

/// The releases that a topology has, by service.
fn releases_of(topology: &Topology) -> BTreeMap<ServiceName, String> {
    let releases = topology.services.iter().filter_map(|(name, spec)| Some((name.clone(), spec.release.clone()?)));
    releases.filter(|(_, release)| !release.is_empty()).collect()
}
