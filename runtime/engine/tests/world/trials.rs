//! Releases that somebody tries beside live ones.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use core_engine::Topology;
use core_engine::action::Action;
use core_engine::command::{Command, Deploying, Make};
use core_engine::event::Event;
use core_engine::phase::PhaseName;
use core_engine::trial::{Trial, TrialWish};
use core_manifest::spec::ServiceSpec;
use core_manifest::{ServiceName, Template};

use super::World;

impl World {
    /// Somebody deploys, promotes or ends a trial, or asks for one; or it is told what was answered.
    pub(super) fn try_something(&mut self) -> Result<(), String> {
        let trials: Vec<ServiceName> = self.engine.trials().into_keys().collect();
        let with_releases = self
            .topology
            .services
            .values()
            .filter(|spec| spec.release.is_some() && spec.route.is_some() && !spec.name.is_trial());
        let parents: Vec<ServiceName> = with_releases.map(|spec| spec.name.clone()).collect();
        match self.rng.below(8) {
            0..=3 if !parents.is_empty() => {
                self.coverage.part("trials", 1);
                let service = Some(self.rng.pick(&parents).clone());
                let trial = if self.rng.percent(50) {
                    TrialWish::Canary { percent: 1 + u32::try_from(self.rng.below(99)).unwrap_or(0) }
                } else {
                    let name = (*self.rng.pick(&["p", "q"])).to_owned();
                    TrialWish::Preview { name, is_public: true, at: 0 }
                };
                let supersede = self.rng.percent(20);
                let how = Deploying { switch: false, supersede, trial: Some(trial), ..Deploying::default() };
                self.operate(Command::Deploy { service, how })
            }
            4 if !trials.is_empty() => {
                self.coverage.part("trials promoted", 1);
                let (service, name) = {
                    let (parent, name) = self.rng.pick(&trials).of_trial().expect("a trial");
                    (Some(parent), Some(name.to_owned()))
                };
                self.operate(Command::Promote { service, name, as_built: false })
            }
            5 if !trials.is_empty() => {
                let service = self.rng.pick(&trials).clone();
                self.operate(Command::EndTrial { service })
            }
            6 if !trials.is_empty() => {
                let service = self.rng.pick(&trials).clone();
                self.give_if_awake(Event::Visited { service })
            }
            _ => {
                let ready = self.engine.instances().filter(|(_, phase, _)| *phase == PhaseName::Ready);
                let ready: Vec<_> = ready.map(|(id, ..)| id.clone()).collect();
                if ready.is_empty() {
                    return Ok(());
                }
                let instance = self.rng.pick(&ready).clone();
                let (answers, errors) = (self.rng.below(1000), self.rng.below(20));
                self.give_if_awake(Event::Answered { instance, answers, errors })
            }
        }
    }

    /// A release is made, or not.
    pub(super) fn make_release(&mut self, action: &Action) {
        let Action::MakeRelease { operation, service, how, .. } = action else { return };
        let result = match &how.make {
            _ if self.fault("a release is not made", 20) => Err("the build fails".to_owned()),
            Make::Landed { release, .. } => Ok(release.clone()),
            _ => Ok(format!("r{}", self.rng.below(4))),
        };
        // One that is promoted is the one of the manifests from now on: nobody else chooses in a world.
        if let (Make::Landed { .. }, Ok(release)) = (&how.make, &result)
            && let Some(spec) = self.files.topology.services.get_mut(service)
            && spec.release.is_some()
        {
            Arc::make_mut(spec).release = Some(release.clone());
        }
        let pause = self.rng.millis(1, 2000);
        self.tell_after(pause, Event::ReleaseMade { operation: *operation, service: service.clone(), result });
    }

    /// The manifests with a copy for each trial, as the host makes them.
    pub(super) fn with_trials(&mut self, topology: &Topology) -> Topology {
        let trials = self.files.trials.clone();
        let copy = |(name, trial): (&ServiceName, &Trial)| {
            let parent = topology.services.get(&name.parent()).filter(|spec| spec.release.is_some())?;
            let mut spec: ServiceSpec = parent.as_ref().clone();
            spec.name = name.clone();
            spec.release = Some(self.files.releases.get(name)?.clone());
            spec.replicas = trial.replicas(self.engine.replicas(&parent.name).unwrap_or(parent.replicas));
            spec.disabled = false;
            spec.update.warm = Duration::ZERO;
            spec.update.idle = Duration::from_secs(if name.as_str().ends_with('p') { 6 } else { 0 });
            spec.ports.retain(|_, port| !port.hold);
            spec.env.insert("TRIAL".into(), Template::literal(name.as_str()));
            Some(spec)
        };
        let copies: Vec<ServiceSpec> = trials.iter().filter_map(copy).collect();
        let services = topology.services.values().map(|spec| spec.as_ref().clone());
        let specs: Vec<ServiceSpec> = services.chain(copies).collect();
        let mut out = Vec::new();
        let built = Topology::build(specs, &BTreeSet::new(), &(), &mut out);
        assert!(out.is_empty(), "a stack with trials is broken: {out:?}");
        built.unwrap_or_default()
    }

    /// What was ended is not wanted any more.
    pub(super) fn forget_ended_trials(&mut self) {
        let trials = self.engine.trials();
        self.topology.services.retain(|name, _| !name.is_trial() || trials.contains_key(name));
    }

    /// Nobody tries previews any more. Whoever has is told so.
    pub(super) fn end_previews(&mut self) -> Result<(), String> {
        for (service, trial) in self.engine.trials() {
            if matches!(trial, Trial::Preview { .. }) {
                self.operate(Command::EndTrial { service })?;
            }
        }
        Ok(())
    }

    /// After chaos: of what was ended nothing is left, not even its place.
    pub(crate) fn check_trials(&self) -> Result<(), String> {
        if self.engine.has_trials() && self.engine.trials().is_empty() {
            return Err("a trial that has ended is never forgotten".into());
        }
        for service in self.routes.keys().filter(|name| name.is_trial()) {
            let is_there = self.engine.trials().contains_key(service);
            if !is_there && self.routes.get(service).is_some_and(|all| !all.is_empty()) {
                return Err(format!("requests are still sent to {service}, which has ended"));
            }
        }
        Ok(())
    }
}
