//! The manifests of the world: edited, read with faults, and late.

use std::collections::{BTreeMap, BTreeSet};

use core_engine::Topology;
use core_engine::action::Action;
use core_engine::event::{Event, FailedSources, Loaded, Purpose, Rejected, SourceChoice};
use core_engine::trial::Trial;
use core_manifest::{Problem, ServiceName};

use super::{Later, World};

/// What is in the files, and what was read of them.
#[derive(Default)]
pub(crate) struct Files {
    /// What they say now.
    pub(crate) topology: Topology,
    /// Counts the edits.
    pub(crate) version: u64,
    /// Somebody has left them broken.
    pub(crate) broken: bool,
    /// The engine was told that they were edited.
    pub(crate) told: bool,
    /// The version that was read last to be carried out, by this life of the engine.
    pub(crate) read: Option<u64>,
    /// What they are being read for.
    pub(crate) under_way: Option<Purpose>,
    pub(crate) failed: FailedSources,
    /// The releases that are tried, and those of all services, when they were last read.
    pub(crate) trials: BTreeMap<ServiceName, Trial>,
    pub(crate) releases: BTreeMap<ServiceName, String>,
    /// The engine asked them to be read while they were being read.
    pub(crate) twice: bool,
    pub(crate) questions: u64,
}

impl Files {
    /// Another supervisor knows nothing of them.
    pub(crate) fn supervisor_is_new(&mut self) {
        (self.told, self.read, self.under_way) = (false, None, None);
    }
}

impl World {
    /// Somebody saves other manifests. The engine is told, in a while.
    pub(super) fn save_files(&mut self, topology: Topology) {
        self.files.topology = topology;
        self.files.broken = false;
        self.files.version += 1;
        self.look_at_files();
    }

    pub(super) fn break_files(&mut self) {
        self.coverage.part("a broken manifest", 1);
        self.files.broken = true;
        self.files.version += 1;
        self.look_at_files();
    }

    pub(super) fn look_at_files(&mut self) {
        self.files.told = false;
        let pause = self.rng.millis(0, 20);
        self.at(pause, Later::Look(self.life));
    }

    pub(super) fn tell_files(&mut self) -> Result<(), String> {
        self.files.told = true;
        self.give_if_awake(Event::Edited { fingerprint: self.files.version })
    }

    /// Somebody asks what the manifests would change.
    pub(super) fn ask_for_plan(&mut self) -> Result<(), String> {
        self.files.questions += 1;
        let question = self.files.questions;
        self.give_if_awake(Event::PlanWanted { question })
    }

    pub(super) fn begin_reading(&mut self, action: Action) {
        let Action::Read { purpose, failed_sources, releases, trials } = action else { return };
        self.files.twice |= self.files.under_way.is_some();
        self.files.under_way = Some(purpose);
        (self.files.failed, self.files.trials, self.files.releases) = (failed_sources, trials, releases);
        let pause = self.rng.millis(0, 200);
        // What is in them is read at some moment between; edits that come later are told.
        self.at(pause, Later::Read(self.life));
    }

    pub(super) fn read(&mut self) -> Result<(), String> {
        let Some(purpose) = self.files.under_way.clone() else { return Ok(()) };
        let is_carried_out = !matches!(purpose, Purpose::Plan { .. });
        let fingerprint = self.files.version;
        let is_broken = self.files.broken || self.fault("a broken manifest", 10);
        if matches!(purpose, Purpose::Apply { .. }) || (is_carried_out && !is_broken) {
            self.files.read = Some(fingerprint);
        }
        if is_broken {
            let problems = vec![Problem::of_service("a", "syntax", "broken".into())];
            return self.give(Event::Rejected(Rejected { problems, refused: BTreeMap::new(), fingerprint }));
        }
        let topology = self.with_trials(&self.files.topology.clone());
        if is_carried_out {
            self.topology = topology.clone();
        }
        let sources = sources(&topology, &self.files.failed);
        if is_carried_out {
            self.sources.clone_from(&sources);
        }
        self.give(Event::Loaded(Loaded {
            topology,
            sources,
            present: self.present.clone(),
            fingerprint,
            follows_edits: true,
            ..Loaded::default()
        }))
    }

    /// An edit is never forgotten, and the manifests are read once at a time.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        let files = &self.files;
        if files.twice {
            return Err("the manifests are read twice at a time".into());
        }
        if self.awake && files.told && files.under_way.is_none() && files.read != Some(files.version) {
            return Err(format!("edit {} is forgotten: {:?} was read last", files.version, files.read));
        }
        Ok(())
    }
}

/// The first source of each binary that has not failed. A third of them have one, two, three.
fn sources(topology: &Topology, failed: &FailedSources) -> BTreeMap<String, SourceChoice> {
    let binaries = topology.services.values().flat_map(|spec| spec.binaries.values());
    let folders: BTreeSet<String> = binaries.filter_map(|binary| binary.folder.clone()).collect();
    let choice = |folder: String| {
        let count = 1 + usize::from(folder.bytes().last().unwrap_or(0)) % 3;
        let has_failed = |index: &usize| failed.contains_key(&(folder.clone(), *index));
        let index = (0..count).find(|index| !has_failed(index)).unwrap_or(0);
        let choice = SourceChoice { binary: folder.clone(), index, count, kind: "url".into(), earlier: Vec::new() };
        (folder, choice)
    };
    folders.into_iter().map(choice).collect()
}
