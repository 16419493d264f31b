//! What services are given from outside: the environment of `core up`, and the values of variables and secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_engine::InstanceId;
use core_manifest::origin::Origin;
use core_manifest::{Identifier, ServiceSpec, variables};

use crate::fill::{InstanceFill, fill_of};
use crate::paths::Paths;
use crate::{identity, users};

/// What services are given from outside.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment that `core up` had, without what is ours.
    variables: BTreeMap<String, Vec<u8>>,
    /// What variables and secrets were when the manifests were looked at last.
    values: Arc<BTreeMap<Origin, String>>,
}

impl Environment {
    /// Ours, which is that of `core up`: the keeper kept it.
    pub fn inherited() -> Self {
        use std::os::unix::ffi::OsStringExt;
        let all = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| !variables::is_own(name))?;
            Some((name, value.into_vec()))
        });
        Self { variables: all.collect(), values: Arc::default() }
    }

    /// From now on this is what variables and secrets are.
    pub(crate) fn remember(&mut self, values: BTreeMap<Origin, String>) {
        self.values = Arc::new(values);
    }

    /// What fills the texts of an instance. Those of a spec that was saved have only the names of variables and secrets:
    /// they are filled with what these are now.
    pub fn fill(&self, paths: &Paths, instance: &InstanceId, ports: &BTreeMap<Identifier, u16>) -> InstanceFill {
        fill_of(paths, instance, ports).with_values(self.values.clone())
    }

    /// The environment of an instance, `NAME=value` each.
    pub fn of(&self, spec: &ServiceSpec, fill: &InstanceFill) -> Vec<Vec<u8>> {
        let mut all = self.variables.clone();
        if let Some(user) = spec.identity.user.as_deref().and_then(|name| users::user(name).ok()) {
            all.retain(|name, _| !identity::is_personal(name));
            all.extend(identity::personal(&user));
        }
        all.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.fill(fill).into_bytes())));
        all.into_iter().map(|(name, value)| [name.as_bytes(), b"=", &value].concat()).collect()
    }
}
