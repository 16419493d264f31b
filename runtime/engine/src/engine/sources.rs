//! The sources of binaries: which one provides each, and which is next when it fails.

use std::collections::BTreeMap;

use super::{Binary, Engine, mutated};
use crate::action::Action;
use crate::event::{FailedSources, Purpose, SourceChoice, Unavailable};

/// What is known about the sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// The source of each folder in `.dep/`, from the last reading of the manifests.
    chosen: BTreeMap<String, SourceChoice>,
    failed: FailedSources,
}

impl Sources {
    pub(super) fn choose(&mut self, chosen: &BTreeMap<String, SourceChoice>) {
        self.chosen.clone_from(chosen);
    }

    pub(super) fn failed(&self) -> &FailedSources {
        &self.failed
    }

    pub(super) fn forget_failures(&mut self) {
        self.failed.clear();
    }

    /// Notes that the source of a folder has failed. Returns whether the binary has another one.
    fn fail(&mut self, folder: &str, reason: &str) -> bool {
        let Some(choice) = self.chosen.get(folder).filter(|choice| choice.index + 1 < choice.count) else {
            return false;
        };
        self.failed.insert((choice.binary.clone(), choice.index), reason.to_owned());
        true
    }

    /// Why a binary is not available, with the reasons of all sources that were tried.
    fn all_reasons(&self, folder: &str, reason: &str) -> String {
        let Some(choice) = self.chosen.get(folder) else { return reason.to_owned() };
        let last = format!("{}: {reason}", choice.kind);
        choice.earlier.iter().cloned().chain([last]).collect::<Vec<_>>().join("; ")
    }
}

impl Engine {
    /// A binary is there, or its source has failed: then the next source is tried before the failure is reported.
    pub(super) fn prepared(&mut self, folder: &str, result: &Result<(), Unavailable>) {
        let binary = match result {
            Ok(()) => Binary::Present,
            Err(Unavailable { why: reason, is_final }) => {
                if !is_final && self.sources.fail(folder, reason) && !mutated!(self, ForgetSources) {
                    self.read(Purpose::OtherSource { folder: folder.to_owned(), reason: reason.clone() });
                    return;
                }
                Binary::Failed(self.sources.all_reasons(folder, reason))
            }
        };
        self.know_binary(folder, binary);
    }

    /// Another source was chosen for the same folder, which the host was already asked for.
    pub(super) fn prepare_again(&mut self, folder: &str, reason: &str) {
        let needs = |spec: &core_manifest::ServiceSpec| {
            spec.binaries.values().any(|binary| binary.folder.as_deref() == Some(folder))
        };
        let service = self.services.iter().find(|(_, service)| needs(&service.spec)).map(|(name, _)| name.clone());
        match service {
            Some(service) if self.sources.chosen.contains_key(folder) => {
                self.actions.push(Action::Prepare { folder: folder.to_owned(), service });
            }
            // No service needs that folder now; it may be requested again.
            _ => self.know_binary(folder, Binary::Failed(reason.to_owned())),
        }
    }

    /// Every source of a binary has failed. `refused` holds the reasons of sources that are never fetched from.
    pub(super) fn no_source_left(&mut self, folder: &str, reason: &str, refused: &BTreeMap<String, String>) {
        let choice = self.sources.chosen.get(folder);
        let why = choice.and_then(|choice| refused.get(&choice.binary)).cloned();
        let why = why.unwrap_or_else(|| self.sources.all_reasons(folder, reason));
        self.know_binary(folder, Binary::Failed(why));
    }

    fn know_binary(&mut self, folder: &str, binary: Binary) {
        self.binaries.insert(folder.to_owned(), binary);
        let needs = |spec: &core_manifest::ServiceSpec| {
            spec.binaries.values().any(|binary| binary.folder.as_deref() == Some(folder))
        };
        let needing = self.instances.values().filter(|instance| needs(&instance.spec));
        let needing: Vec<_> = needing.map(|instance| instance.id.clone()).collect();
        for id in needing {
            self.changed.insert(id.service().clone());
            self.dirty.insert(id);
        }
        self.settle_fetches();
    }
}
