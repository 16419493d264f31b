//! What fills the holes of an instance's texts.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use core_engine::InstanceId;
use core_manifest::Identifier;
use core_manifest::origin::Origin;
use core_manifest::template::Fill;

use crate::paths::Paths;

/// What variables and secrets were when the manifests were looked at last. Of a spec that was saved only their names are
/// known: it is started, or asked, with what they are now.
static VALUES: RwLock<BTreeMap<Origin, String>> = RwLock::new(BTreeMap::new());

/// From now on this is what they are.
pub(crate) fn remember(values: BTreeMap<Origin, String>) {
    *VALUES.write().unwrap_or_else(PoisonError::into_inner) = values;
}

/// The values of one instance.
#[derive(Clone, Debug, Default)]
pub struct InstanceFill {
    run: String,
    instance: String,
    replica: u32,
    ports: BTreeMap<Identifier, u16>,
}

/// The values of `instance`.
pub fn fill_of(paths: &Paths, instance: &InstanceId, ports: &BTreeMap<Identifier, u16>) -> InstanceFill {
    let name = instance.to_string();
    InstanceFill {
        run: paths.run.join(&name).display().to_string(),
        instance: name,
        replica: instance.slot.replica,
        ports: ports.clone(),
    }
}

impl InstanceFill {
    /// The same, with another run folder.
    #[must_use]
    pub fn with_run(mut self, run: &std::path::Path) -> Self {
        self.run = run.display().to_string();
        self
    }
}

impl Fill for InstanceFill {
    fn run(&self) -> String {
        self.run.clone()
    }

    fn instance(&self) -> String {
        self.instance.clone()
    }

    fn replica(&self) -> u32 {
        self.replica
    }

    fn port(&self, name: &Identifier) -> Option<u16> {
        self.ports.get(name).copied()
    }

    fn value(&self, origin: &Origin) -> Option<String> {
        VALUES.read().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
    }
}
