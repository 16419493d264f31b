//! What an instance waits for before it starts. Every wait has a typed reason.

use core_manifest::spec::{Condition, Protocol, Strategy};
use core_manifest::{ServiceName, ServiceSpec};

use super::instance::Instance;
use super::shim::{Away, Shim, Step};
use super::want::Want;
use super::{Binary, Engine, mutated};
use crate::folder::shown_folder;
use crate::ids::InstanceId;
use crate::phase::{EndReason, Phase, StopReason};

/// Something an instance waits for before it starts or stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// Another service must meet a condition.
    Dependency {
        /// The other service.
        service: ServiceName,
        /// The condition it must meet.
        condition: Condition,
        /// Its current state, as text.
        state: String,
        /// Whether the condition cannot be met without an outside change.
        never: bool,
    },
    /// A binary is being downloaded or built, or this failed.
    Binary {
        /// Its folder in `.dep/`.
        folder: String,
        /// Why it is not available; `None` while it is being prepared.
        failed: Option<String>,
    },
    /// An older instance of the same slot must be gone.
    OldInstance(InstanceId),
    /// An instance of another service still listens on a port that it needs.
    Port {
        /// The port number.
        port: u16,
        /// The instance that has the port.
        holder: InstanceId,
    },
    /// An instance of another service still uses its folder.
    Store {
        /// The path of the folder.
        folder: String,
        /// The instance that uses the folder.
        holder: InstanceId,
    },
    /// It is to stop, but this instance has to stop first.
    EndOf(InstanceId),
    /// Its shim must answer first.
    Shim {
        /// What is wrong, since when, and what is being done.
        message: String,
    },
    /// The manifests have not been read yet.
    Manifests,
}

/// Whether the condition of a dependency is met.
enum Holds {
    Yes,
    NotYet(String),
    Never(String),
}

impl Engine {
    /// Everything that keeps an instance from starting.
    pub(super) fn waiting_on(&self, instance: &Instance) -> Vec<WaitingOn> {
        if !self.may_start() {
            return vec![WaitingOn::Manifests];
        }
        let mut all = Vec::new();
        if !instance.admitted {
            all.extend(self.unmet_dependencies(instance));
        }
        all.extend(self.missing_binaries(instance));
        all.extend(self.old_instance(instance).map(WaitingOn::OldInstance));
        all.extend(self.taken_port(instance));
        all.extend(self.taken_store(instance));
        all.extend(self.missing_shim(instance));
        all
    }

    /// The wait for a shim that is away, with what is being done; `None` if the shim is not away.
    pub(super) fn missing_shim(&self, instance: &Instance) -> Option<WaitingOn> {
        let Shim::Away(Away { since, tries, why, step }) = &instance.shim else { return None };
        let doing = match step {
            Step::Connecting { .. } => "connecting to its shim again",
            Step::Adopting { .. } => "another shim is taking over",
            Step::Pausing { .. } => "trying again in a moment",
        };
        let tried = match tries {
            0 => String::new(),
            1 => ", one attempt failed".to_owned(),
            several => format!(", {several} attempts failed"),
        };
        let seconds = (self.now - *since).as_secs();
        let message = format!("unattended for {seconds} s: {why}{tried}; {doing}");
        Some(WaitingOn::Shim { message })
    }

    pub(super) fn unmet_dependencies(&self, instance: &Instance) -> Vec<WaitingOn> {
        if mutated!(self, StartBeforeDependency) {
            return Vec::new();
        }
        let unmet = instance.spec.depends_on.iter().filter_map(|(service, condition)| {
            let (state, never) = match self.holds(service, *condition) {
                Holds::Yes => return None,
                Holds::NotYet(state) => (state, false),
                Holds::Never(state) => (state, true),
            };
            Some(WaitingOn::Dependency { service: service.clone(), condition: *condition, state, never })
        });
        unmet.collect()
    }

    pub(super) fn missing_binaries(&self, instance: &Instance) -> Vec<WaitingOn> {
        self.missing_of(&instance.spec)
    }

    /// The binaries of a spec that are not in `.dep/` yet.
    pub(super) fn missing_of(&self, spec: &ServiceSpec) -> Vec<WaitingOn> {
        let folders = spec.binaries.values().filter_map(|binary| binary.folder.as_ref());
        let missing = folders.filter_map(|folder| {
            let failed = match self.binaries.get(folder) {
                Some(Binary::Present) => return None,
                Some(Binary::Failed(message)) => Some(message.clone()),
                Some(Binary::Asked) | None => None,
            };
            Some(WaitingOn::Binary { folder: folder.clone(), failed })
        });
        missing.collect()
    }

    /// An instance of the same slot that must be gone first. In a swap, the serving instance and those that served
    /// before may stay beside the new one.
    pub(super) fn old_instance(&self, instance: &Instance) -> Option<InstanceId> {
        if mutated!(self, StartBesideOld) {
            return None;
        }
        self.instances_of(instance.id.service())
            .find(|other| {
                let swaps = instance.spec.update.strategy != Strategy::Restart;
                let may_stay = instance.beside && !other.candidate && swaps;
                other.id.slot == instance.id.slot && other.id != instance.id && other.phase.is_live() && !may_stay
            })
            .map(|other| other.id.clone())
    }

    /// A port of its own that an instance of another service still has, because both are being changed.
    fn taken_port(&self, instance: &Instance) -> Option<WaitingOn> {
        let numbers = |spec: &ServiceSpec| -> Vec<(bool, u16)> {
            let own = spec.ports.values().filter(|port| !port.hold);
            own.filter_map(|port| Some((port.protocol == Protocol::Udp, port.number?))).collect()
        };
        let mine = numbers(&instance.spec);
        if mine.is_empty() {
            return None;
        }
        self.instances.values().filter(|other| other.id.slot != instance.id.slot && other.phase.is_live()).find_map(
            |other| {
                // TCP and UDP ports with the same number are different ports.
                let (_, port) = numbers(&other.spec).into_iter().find(|port| mine.contains(port))?;
                Some(WaitingOn::Port { port, holder: other.id.clone() })
            },
        )
    }

    /// A folder of its own that an instance of another service still uses, because one replaces the other.
    fn taken_store(&self, instance: &Instance) -> Option<WaitingOn> {
        let folder = instance.spec.store.clone()?;
        let is_in_it = |other: &&Instance| {
            other.id.service() != instance.id.service()
                && other.phase.is_live()
                && other.spec.store.as_ref() == Some(&folder)
        };
        let holder = self.instances.values().find(is_in_it)?.id.clone();
        Some(WaitingOn::Store { folder, holder })
    }

    fn holds(&self, name: &ServiceName, condition: Condition) -> Holds {
        // A topology only names services that exist. So this is an instance of an older topology, which may be started
        // again while it serves; it cannot wait for a service that is gone.
        let Some(service) = self.services.get(name) else { return Holds::Yes };
        // A service with several replicas meets a condition when each of its slots does; the worst answer counts.
        let mut answer = Holds::Yes;
        for replica in 0..service.replicas() {
            let slot = self.instances_of(name).filter(|instance| instance.id.slot.replica == replica);
            let mut best = Holds::NotYet("it does not exist yet".into());
            for instance in slot.filter(|instance| self.is_born(&instance.id)) {
                match self.instance_holds(instance, condition) {
                    Holds::Yes => {
                        best = Holds::Yes;
                        break;
                    }
                    other => best = other,
                }
            }
            match best {
                Holds::Yes => {}
                Holds::NotYet(state) => {
                    if matches!(answer, Holds::Yes) {
                        answer = Holds::NotYet(state);
                    }
                }
                Holds::Never(state) => return Holds::Never(state),
            }
        }
        answer
    }

    fn instance_holds(&self, instance: &Instance, condition: Condition) -> Holds {
        let id = &instance.id;
        let state = || format!("{id} is {}", instance.phase.name().word());
        let ended = |reason: EndReason| match reason {
            EndReason::Exit => match instance.last_exit {
                Some(exit) => format!("{id} {exit}"),
                None => format!("{id} has ended"),
            },
            EndReason::Stopped => format!("{id} was stopped"),
            EndReason::Disabled => format!("{id} is disabled"),
            EndReason::Idle => format!("{id} sleeps"),
            EndReason::Skipped => format!("{id} was skipped"),
        };
        let holds = match condition {
            Condition::ProcessStarted => instance.started_once,
            Condition::ProcessHealthy => instance.is_ready(),
            Condition::ProcessLogReady => instance.ready_once,
            Condition::ProcessCompleted => {
                matches!(instance.phase, Phase::Ended(EndReason::Exit | EndReason::Skipped) | Phase::GaveUp)
            }
            Condition::ProcessCompletedSuccessfully => {
                instance.phase == Phase::Ended(EndReason::Exit) && instance.ended_well()
            }
        };
        if holds {
            return Holds::Yes;
        }
        match (&instance.phase, self.want(instance)) {
            (Phase::GaveUp, _) => Holds::Never(format!("{id} was given up")),
            (Phase::Ended(reason), want) if matches!(want, Want::Stop(_)) || *reason == EndReason::Exit => {
                Holds::Never(ended(*reason))
            }
            (Phase::Ended(EndReason::Skipped), _) => Holds::Never(format!("{id} was skipped")),
            (_, Want::Stop(StopReason::Operator | StopReason::Disabled)) if !instance.phase.is_live() => {
                Holds::Never(format!("{id} was stopped"))
            }
            _ => Holds::NotYet(state()),
        }
    }
}

impl WaitingOn {
    /// The service that it waits for, if it waits for one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Dependency { service, .. } => Some(service),
            Self::OldInstance(id)
            | Self::EndOf(id)
            | Self::Port { holder: id, .. }
            | Self::Store { holder: id, .. } => Some(id.service()),
            Self::Binary { .. } | Self::Shim { .. } | Self::Manifests => None,
        }
    }

    /// A stable code for the reason, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dependency { .. } => "dependency",
            Self::Binary { failed: None, .. } => "binary",
            Self::Binary { failed: Some(_), .. } => "binary_failed",
            Self::OldInstance(_) => "old_instance",
            Self::Port { .. } => "port",
            Self::Store { .. } => "store",
            Self::EndOf(_) => "end_of",
            Self::Shim { .. } => "shim",
            Self::Manifests => "manifests",
        }
    }

    /// The reason as text for people.
    pub fn message(&self) -> String {
        match self {
            Self::Dependency { service, condition, state, never } => {
                let hopeless = if *never { ", and that will not change by itself" } else { "" };
                format!("waits for {service} ({}): {state}{hopeless}", condition.word())
            }
            Self::Binary { folder, failed: None } => format!("waits for {}", shown_folder(folder)),
            Self::Binary { folder, failed: Some(why) } => format!("{} is not available: {why}", shown_folder(folder)),
            Self::OldInstance(id) => format!("waits until {id} has ended"),
            Self::Port { port, holder } => format!("waits until {holder} lets go of port {port}"),
            Self::Store { folder, holder } => format!("waits until {holder} is out of {folder}"),
            Self::EndOf(id) => format!("ends after {id}"),
            Self::Shim { message } => message.clone(),
            Self::Manifests => "waits for the manifests".into(),
        }
    }
}

impl Engine {
    /// Whether an instance runs, or will run without an outside change.
    pub(super) fn comes_back(&self, instance: &Instance) -> bool {
        let is_over = matches!(instance.phase, Phase::Ended(EndReason::Exit) | Phase::GaveUp);
        matches!(self.want(instance), Want::Run | Want::Keep) && !is_over
    }
}
