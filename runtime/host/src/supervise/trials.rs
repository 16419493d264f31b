//! What the engine has to know of releases that run beside live ones: what they answer, who asks for them, and their age.

use std::collections::BTreeSet;
use std::time::Duration;

use core_engine::InstanceId;
use core_engine::event::{Command, Event};
use core_engine::record::Cause;
use core_engine::trial::Trial;
use core_manifest::ServiceName;
use core_manifest::spec::Tls;
use core_stack::drivers;
use tokio::time::{Interval, MissedTickBehavior};

use super::Supervisor;
use crate::api::{self, TrialStatus};
use crate::edge::BELL;
use crate::{allowance, answers, bell, identity};

/// How often to look at what has been answered.
const PAUSE: Duration = Duration::from_secs(1);

/// When to look at what has been answered. Nobody looks while nothing is tried, and that time is not made up for.
pub(super) fn turns() -> Interval {
    let mut turns = tokio::time::interval(PAUSE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

impl Supervisor {
    /// Opens the sockets on which the edge asks: for previews that sleep (without it, they are told to come again, and nothing
    /// starts), and whether a name may get a certificate.
    pub(super) fn hang_up_bell(&self) {
        match bell::open(&self.paths.edge()) {
            Ok(listener) => drop(tokio::task::spawn_local(bell::serve(listener, self.rings.clone()))),
            Err(error) => tracing::warn!("previews that sleep cannot be started by a request: {error}"),
        }
        match api::open_socket(&self.paths.edge().join(drivers::COUNTER)) {
            Ok(listener) => drop(tokio::task::spawn_local(allowance::serve(listener, self.allowance.clone()))),
            Err(error) => tracing::warn!("names that no route has get no certificates: {error}"),
        }
    }

    /// The manifests were read: what lets people see previews is what it is now, and the edge may read it.
    pub(super) fn admit_people(&self) {
        for table in self.engine.route_tables().iter().filter(|table| table.trial.is_some()) {
            if let Err(error) = self.write_pointers(table) {
                tracing::warn!(service = %table.service, "nobody can see it: {error}");
            }
        }
        let topology = self.engine.topology();
        let reader = identity::edge_user(&topology);
        for name in [BELL, drivers::COUNTER] {
            bell::give_to(&self.paths.edge().join(name), reader);
        }
        self.admit_names();
    }

    /// Says how many names that no route has may get a certificate.
    pub(super) fn admit_names(&self) {
        let topology = self.engine.topology();
        let Some(edge) = topology.edge() else { return };
        let per_hour = edge.edge.on_demand.as_ref().map_or(0, |on_demand| on_demand.per_hour);
        self.allowance.set(per_hour, self.paths.data().join(edge.name.as_str()));
    }

    /// Reports what the instances of services with trials have answered.
    pub(super) fn count_answers(&mut self) {
        let trials = self.engine.trials();
        let of_trials = |id: &InstanceId| trials.keys().any(|trial| trial.parent() == id.service().parent());
        let ids: BTreeSet<InstanceId> = self.engine.instances().map(|(id, ..)| id.clone()).filter(of_trials).collect();
        self.answered.retain(|instance, _| ids.contains(instance));
        for instance in ids {
            let Some(said) = answers::read(&self.paths.run, &instance) else { continue };
            if self.answered.insert(instance.clone(), said) != Some(said) {
                let (answers, errors) = said;
                self.give(&Event::Answered { instance, answers, errors });
            }
        }
    }

    /// Somebody asks for previews of this name.
    pub(super) fn ring(&mut self, label: &str) {
        let named = |name: &ServiceName| name.of_trial().is_some_and(|(_, trial)| trial == label);
        for service in self.engine.trials().into_keys().filter(named) {
            self.give(&Event::Visited { service });
        }
    }

    /// Ends previews that were not deployed for long.
    pub(super) fn end_old_trials(&mut self) {
        let now = jiff::Timestamp::now().as_second();
        for (service, trial) in self.engine.trials() {
            let Trial::Preview { at, .. } = trial else { continue };
            let age = self.engine.topology().services.get(&service).map(|spec| spec.update.age).unwrap_or_default();
            let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            if age > 0 && now.saturating_sub(at) > age {
                self.operate(Command::EndTrial { service }, Cause::Age, None);
            }
        }
    }

    /// The trials, for people.
    pub(super) fn trials(&self) -> Vec<TrialStatus> {
        let releases = self.engine.releases();
        let topology = self.engine.topology();
        let is_public = topology.edge().is_some_and(|edge| edge.edge.tls == Tls::Auto);
        let all = self.engine.trials().into_iter();
        let all = all.filter_map(|(service, trial)| {
            let (parent, name) = service.of_trial()?;
            let route = topology.services.get(&parent).and_then(|spec| spec.route.clone());
            let path = route.as_ref().and_then(|route| route.paths.first().cloned()).unwrap_or_default();
            let mut hosts = route.map(|route| route.hosts).unwrap_or_default();
            hosts.retain(|host| !host.contains('*'));
            // Names of this machine have none of its certificates.
            if !is_public || hosts.is_empty() {
                hosts.push(format!("{parent}.localhost"));
            }
            let (percent, public, at) = match trial {
                Trial::Preview { is_public, at, .. } => (None, is_public, Some(at)),
                Trial::Canary { percent } => (Some(percent), true, None),
            };
            Some(TrialStatus {
                service: parent.to_string(),
                name: name.to_owned(),
                release: releases.get(&service).cloned(),
                hosts: if percent.is_none() {
                    hosts.iter().map(|host| format!("{name}.{host}")).collect()
                } else {
                    Vec::new()
                },
                path,
                percent,
                public,
                at,
            })
        });
        all.collect()
    }
}
