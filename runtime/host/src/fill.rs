//! What fills the placeholders of an instance's templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_engine::InstanceId;
use core_manifest::Identifier;
use core_manifest::origin::Origin;
use core_manifest::template::Fill;

use crate::paths::Paths;

/// The values of one instance.
#[derive(Clone, Debug, Default)]
pub struct InstanceFill {
    run: String,
    instance: String,
    replica: u32,
    ports: BTreeMap<Identifier, u16>,
    /// Values of variables and secrets, for a template that has only their names.
    values: Arc<BTreeMap<Origin, String>>,
}

/// The values of `instance`.
pub fn fill_of(paths: &Paths, instance: &InstanceId, ports: &BTreeMap<Identifier, u16>) -> InstanceFill {
    let name = instance.to_string();
    InstanceFill {
        run: paths.run.join(&name).display().to_string(),
        instance: name,
        replica: instance.slot.replica,
        ports: ports.clone(),
        values: Arc::default(),
    }
}

impl InstanceFill {
    /// The same with these values of variables and secrets.
    #[must_use]
    pub(crate) fn with_values(mut self, values: Arc<BTreeMap<Origin, String>>) -> Self {
        self.values = values;
        self
    }

    /// The same with another run folder.
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
        self.values.get(origin).cloned()
    }
}
