//! What services get from outside: the environment of `core up`, and the values of variables and secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use core_engine::InstanceId;
use core_manifest::origin::Origin;
use core_manifest::{Identifier, ServiceSpec, variables};

use crate::fill::{InstanceFill, fill_of};
use crate::paths::Paths;
use crate::{identity, users};

/// What services get from outside.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment of `core up`, without core's own variables.
    variables: BTreeMap<String, Vec<u8>>,
    /// The values of variables and secrets when the manifests were last read.
    values: Arc<BTreeMap<Origin, String>>,
}

impl Environment {
    /// This process's environment, which is that of `core up`: the keeper preserved it.
    pub fn inherited() -> Self {
        let all = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| !variables::is_own(name))?;
            Some((name, value.into_vec()))
        });
        Self { variables: all.collect(), values: Arc::default() }
    }

    /// Replaces the values of variables and secrets.
    pub(crate) fn remember(&mut self, values: BTreeMap<Origin, String>) {
        self.values = Arc::new(values);
    }

    /// What fills the templates of an instance. A saved spec has only the names of variables and secrets; they are
    /// filled with the present values.
    pub fn fill(&self, paths: &Paths, instance: &InstanceId, ports: &BTreeMap<Identifier, u16>) -> InstanceFill {
        fill_of(paths, instance, ports).with_values(self.values.clone())
    }

    /// Gives a command the environment of an instance, and no other.
    pub fn put_on(&self, command: &mut Command, spec: &ServiceSpec, fill: &InstanceFill) {
        command.env_clear();
        for pair in self.of(spec, fill) {
            if let Some(at) = pair.iter().position(|byte| *byte == b'=') {
                command.env(OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(pair[at + 1..].to_vec()));
            }
        }
    }

    /// The environment of an instance, each as `NAME=value`.
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

/// Puts the folders of a service's own programs first in PATH.
pub fn put_binaries_first(process: &mut Command, spec: &ServiceSpec) {
    let path = process.get_envs().find_map(|(name, value)| (name == "PATH").then(|| value.map(ToOwned::to_owned))?);
    let before = path.unwrap_or_default();
    let programs = spec.binaries.values().map(|binary| PathBuf::from(&binary.path)).filter(|path| path.is_file());
    let folders: Vec<PathBuf> = programs.filter_map(|path| path.parent().map(ToOwned::to_owned)).collect();
    if let Ok(all) = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&before))) {
        process.env("PATH", all);
    }
}
