//! What the edge's pointers of a service name.
//!
//! The table is derived from the ready instances. Each change of it gets a version and is sent to the host, one at a
//! time. An instance that the edge may still know is never asked to stop.

use std::time::Duration;

use core_manifest::spec::Check;
use core_manifest::{ServiceName, Template};

use super::instance::Instance;
use super::service::Share;
use super::want::Want;
use super::{Engine, mutated};
use crate::action::{Action, Former, RouteTable, Target, TrialRoute, pointers};
use crate::check::ServiceCheck;
use crate::exit::Failure;
use crate::ids::{Generation, InstanceId};
use crate::maintenance::Maintenance;
use crate::phase::{Drain, Phase};
use crate::time::Time;

/// Pause before a table that could not be written is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// When the host's answer about a table counts as lost. Writing one takes microseconds.
const LOST: Duration = Duration::from_secs(10);

/// What pointers of a service name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table {
    targets: Vec<Target>,
    former: Option<Former>,
    trial: Option<TrialRoute>,
    release: Option<String>,
    maintenance: Option<Maintenance>,
}

impl Table {
    fn names(&self, id: &InstanceId) -> bool {
        let former = self.former.iter().flat_map(|former| &former.targets);
        self.targets.iter().chain(former).any(|target| &target.instance == id)
    }
}

/// The pointers of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Routing {
    version: u64,
    /// How many pointers there are. They only get more: the edge may still read those that it needs no longer.
    pointers: u32,
    /// The table that was last sent to the host.
    told: Option<Table>,
    /// The table that is known to be written. `None`: anything may be.
    written: Option<Table>,
    /// Set while the host has not answered: when the answer counts as lost.
    outstanding: Option<Time>,
    /// When to send the table again after a failure.
    retry_at: Option<Time>,
    /// Why the last attempt to write it failed.
    pub(super) failure: Option<String>,
}

impl Routing {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.retry_at.or(self.outstanding)
    }

    /// What is written is unknown now, so the table is sent again.
    fn failed(&mut self, message: String, now: Time) {
        self.told = None;
        self.written = None;
        self.outstanding = None;
        self.retry_at = Some(now + TRY_AGAIN);
        self.failure = Some(message);
    }
}

impl Engine {
    /// Whether the edge may send requests to an instance.
    pub(super) fn is_routed(&self, id: &InstanceId) -> bool {
        let is_lax = mutated!(self, StopFormer);
        let names = |table: &Option<Table>, unknown: bool| {
            let of = |table: &Table| {
                if is_lax { table.targets.iter().any(|one| &one.instance == id) } else { table.names(id) }
            };
            table.as_ref().map_or(unknown, of)
        };
        // If no table was sent yet, an earlier engine may have written anything.
        self.routings
            .get(id.service())
            .is_none_or(|routing| names(&routing.told, false) || names(&routing.written, true))
    }

    /// Whether what is written is exactly what is wanted.
    pub(super) fn is_written(&self, service: &ServiceName) -> bool {
        self.routings.get(service).is_none_or(|routing| {
            let is_settled = routing.outstanding.is_none() && routing.retry_at.is_none();
            is_settled && routing.written.is_some() && routing.written == self.wanted_table(service)
        })
    }

    /// Whether something is written, and exactly what is wanted.
    pub(super) fn is_told(&self, service: &ServiceName) -> bool {
        self.routings.contains_key(service) && self.is_written(service)
    }

    /// Whether the edge answers in the place of a service, as is wanted.
    pub(super) fn is_maintained(&self, service: &ServiceName) -> bool {
        let wanted = self.maintenance(service);
        self.routings.get(service).is_none_or(|routing| {
            let is_settled = routing.outstanding.is_none() && routing.retry_at.is_none();
            // What was never sent was never in maintenance: that is sent at once, whatever is ready.
            let written = routing.written.as_ref().or(routing.told.as_ref()).map(|table| table.maintenance.as_ref());
            is_settled && written.unwrap_or_default() == wanted
        })
    }

    /// The tables that were last sent to the host, for a host whose pointer files were removed.
    pub fn route_tables(&self) -> Vec<RouteTable> {
        let table = |(service, routing): (&ServiceName, &Routing)| {
            let Table { targets, former, trial, release, maintenance } = routing.told.clone()?;
            let (version, pointers, may_try) = (routing.version, routing.pointers, self.may_try(service));
            let service = service.clone();
            Some(RouteTable { service, version, pointers, targets, former, trial, may_try, release, maintenance })
        };
        self.routings.iter().filter_map(table).collect()
    }

    /// The edge that stays: the newest one that is ready.
    pub(super) fn ready_edge(&self) -> Option<&InstanceId> {
        let edges = self.instances.values().filter(|instance| instance.spec.kind.is_edge() && instance.is_ready());
        edges.map(|instance| &instance.id).max_by_key(|id| id.generation)
    }

    /// The services with a route that are to answer now. Not those that never did, that are stopped, asleep or in maintenance, and
    /// not trials and development servers.
    pub fn checks(&self) -> Vec<ServiceCheck> {
        let check = |(name, routing): (&ServiceName, &Routing)| {
            let table = routing.told.as_ref().filter(|table| table.trial.is_none() && table.maintenance.is_none())?;
            let spec = &self.services.get(name)?.spec;
            let is_developed = spec.release.as_ref().is_some_and(String::is_empty);
            let is_wanted = self.instances_of(name).any(|one| !matches!(one.phase, Phase::Ended(_)));
            if is_developed || !is_wanted {
                return None;
            }
            let to = self.ready_edge().cloned().zip(table.targets.first().cloned());
            let probed = spec.readiness.as_ref().and_then(|probe| match &probe.check {
                Check::Http { path, .. } => Some(path.clone()),
                _ => None,
            });
            let first = || spec.route.as_ref().and_then(|route| route.paths.first());
            let path = probed.unwrap_or_else(|| Template::literal(first().map_or("/", String::as_str)));
            Some(ServiceCheck { service: name.clone(), to, path })
        };
        self.routings.iter().filter_map(check).collect()
    }

    /// What the pointers of a service name, if that is known.
    pub(super) fn targets(&self, service: &ServiceName) -> Option<Vec<Target>> {
        Some(self.routings.get(service)?.written.as_ref()?.targets.clone())
    }

    /// Compares the table of a service with the wanted one, and sends it when it differs.
    pub(super) fn settle_route(&mut self, name: &ServiceName) {
        let Some(replicas) = self.route_spec(name) else {
            if self.instances_of(name).next().is_none() {
                // Versions start again with the next service: an answer to this one could be taken for one to that.
                let waits =
                    self.routings.get(name).and_then(|routing| routing.outstanding).is_some_and(|by| by > self.now);
                if !waits {
                    self.routings.remove(name);
                }
            } else if let Some(routing) = self.routings.get_mut(name) {
                // Nothing is wanted of the edge any more, so nothing is waited for.
                (routing.outstanding, routing.retry_at, routing.told) = (None, None, None);
            }
            return;
        };
        let wanted = self.wanted_table(name);
        let (now, may_try) = (self.now, self.may_try(name));
        let waits = mutated!(self, ForgetLostRoute);
        let routing = self.routings.entry(name.clone()).or_default();
        if routing.outstanding.is_some_and(|by| by <= now) {
            routing.failed("no answer".into(), now);
        }
        if routing.outstanding.is_some() || routing.retry_at.is_some_and(|at| at > now) {
            return;
        }
        routing.retry_at = None;
        // The edge's file is made of the manifest: it names so many, whatever `core scale` says.
        let pointers = pointers(replicas).max(routing.pointers);
        let is_more = pointers > routing.pointers;
        let wanted = wanted.filter(|wanted| is_more || routing.told.as_ref() != Some(wanted));
        let Some(wanted) = wanted.or_else(|| routing.told.clone().filter(|_| is_more)) else { return };
        routing.pointers = pointers;
        routing.version += 1;
        routing.told = Some(wanted.clone());
        routing.outstanding = Some(now + if waits { LOST * 10_000 } else { LOST });
        self.actions.push(Action::Route(RouteTable {
            service: name.clone(),
            version: routing.version,
            pointers,
            targets: wanted.targets,
            former: wanted.former,
            trial: wanted.trial,
            may_try,
            release: wanted.release,
            maintenance: wanted.maintenance,
        }));
    }

    /// Number of replicas by the manifest, if the service has a route, or had one that may still be written.
    fn route_spec(&self, name: &ServiceName) -> Option<u32> {
        let of_service = self.services.get(name).filter(|service| service.spec.route.is_some());
        let of_service = of_service.map(|service| service.spec.replicas);
        let has_one = || self.instances_of(name).any(|instance| instance.spec.route.is_some());
        // Of a trial that is over, the edge may still read the name.
        of_service.or_else(|| (has_one() || self.is_ending_trial(name)).then_some(1))
    }

    /// What the pointers should name; `None` leaves the table as it is.
    fn wanted_table(&self, name: &ServiceName) -> Option<Table> {
        let trial = self.trial_route(name);
        if trial.as_ref().is_some_and(|trial| !trial.is_open) {
            return Some(Table { trial, ..Table::default() });
        }
        let maintenance = self.maintenance(name).cloned();
        // Nobody is answered by an instance then, so this need not wait until one is ready.
        let targets = self.wanted_targets(name).or_else(|| maintenance.is_some().then(Vec::new))?;
        // What gets all requests needs no name.
        let former = self.former(name).filter(|former| !former.targets.iter().any(|one| targets.contains(one)));
        let release = self.release_of(&targets).filter(|_| !name.is_trial());
        Some(Table { targets, former, trial, release, maintenance })
    }

    /// Whether a service has releases, which may be tried beside the live one.
    fn may_try(&self, name: &ServiceName) -> bool {
        let release = self.services.get(name).and_then(|service| service.spec.release.as_ref());
        release.is_some_and(|id| !id.is_empty()) && !name.is_trial()
    }

    /// The release that all of these instances run; `None` if they run two, or none.
    fn release_of(&self, targets: &[Target]) -> Option<String> {
        let mut all = targets.iter().map(|target| self.instances.get(&target.instance)?.spec.release.as_ref());
        let first = all.next()?.filter(|id| !id.is_empty())?;
        all.all(|other| other == Some(first)).then(|| first.clone())
    }

    /// The instances that should take requests; `None` leaves them as they are.
    fn wanted_targets(&self, name: &ServiceName) -> Option<Vec<Target>> {
        let service = self.services.get(name);
        let early = mutated!(self, SwitchBeforeReady);
        let ready = |fits: &dyn Fn(&Instance) -> bool| -> Vec<Target> {
            let of_service = self.instances_of(name).filter(|instance| {
                let is_ready = instance.is_ready() || early && instance.candidate && instance.phase.process().is_some();
                is_ready && fits(instance) && matches!(self.want(instance), Want::Run | Want::Keep)
            });
            of_service.filter_map(Instance::target).collect()
        };
        let born_in = |generation: Generation| ready(&|instance: &Instance| instance.id.generation == generation);
        let targets = match service.map(|service| (service, &service.rollout)) {
            None => ready(&|_| true),
            Some((service, Some(rollout))) if rollout.stage.is_switched() => {
                let pointers = pointers(service.spec.replicas);
                shared(&born_in(service.born), &born_in(rollout.born), rollout.stage.share(), pointers)
            }
            Some((service, _)) => ready(&|instance: &Instance| {
                let is_extra = early && instance.candidate || mutated!(self, RouteWarm) && self.is_warm(&instance.id);
                instance.id.generation == service.serving() || is_extra
            }),
        };
        if !targets.is_empty() {
            return Some(targets);
        }
        // No instance is ready. One that comes back at the same address stays in the table: the edge retries for a
        // while. One that is to go must leave it, or it could never be asked to stop. So must one whose port another
        // process has taken: that process would get its requests.
        let is_robbed = |instance: &Instance| matches!(instance.last_failure, Some(Failure::PortTaken { .. }));
        let stays_in = |id: &InstanceId| {
            self.instances.get(id).is_some_and(|instance| self.comes_back(instance) && !is_robbed(instance))
        };
        match self.routings.get(name).and_then(|routing| routing.told.as_ref()) {
            Some(told) => Some(told.targets.iter().filter(|target| stays_in(&target.instance)).cloned().collect()),
            None => {
                let leaves = |phase: &Phase| matches!(phase, Phase::Draining { stage: Drain::Routed, .. });
                let must_leave = self.instances_of(name).any(|instance| leaves(&instance.phase));
                let nobody = !self.instances_of(name).any(|instance| self.comes_back(instance));
                (must_leave || nobody).then(Vec::new)
            }
        }
    }

    pub(super) fn routed(&mut self, name: &ServiceName, version: u64, result: &Result<(), String>) {
        let now = self.now;
        let forgets = mutated!(self, ForgetFailedRoute);
        let Some(routing) = self.routings.get_mut(name) else { return };
        if routing.version != version || routing.outstanding.is_none() {
            return;
        }
        routing.outstanding = None;
        match result {
            Ok(()) => {
                routing.written.clone_from(&routing.told);
                routing.failure = None;
            }
            Err(_) if forgets => routing.written.clone_from(&routing.told),
            Err(message) => routing.failed(message.clone(), now),
        }
        self.changed.insert(name.clone());
    }

    /// Whether every slot of a service has a ready instance of this generation.
    pub(super) fn all_ready(&self, name: &ServiceName, generation: Generation, replicas: u32) -> bool {
        (0..replicas).all(|replica| {
            let id = InstanceId::new(name.clone(), replica, generation);
            self.instances.get(&id).is_some_and(|instance| matches!(instance.phase, Phase::Ready { .. }))
        })
    }
}

/// The first pointers name new instances, the others old ones. All name new ones when that is their share; if only
/// new or only old instances are there, all pointers name those.
fn shared(new: &[Target], old: &[Target], share: Share, pointers: u32) -> Vec<Target> {
    if share == Share::ALL || old.is_empty() {
        return new.to_vec();
    }
    if new.is_empty() {
        return old.to_vec();
    }
    let first = share.of(pointers);
    let of = |pointer: u32| if pointer < first { new } else { old }.iter().cycle().nth(pointer as usize).cloned();
    (0..pointers).filter_map(of).collect()
}
