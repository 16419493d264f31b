//! The whole file, and the generated files that go with it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use core_caddy::Wiring;
use core_engine::Topology;
use core_engine::driver::Surroundings;
use core_manifest::spec::{Check, Condition, GeneratedFile};
use core_manifest::{ServiceName, ServiceSpec};
use serde_json::{Map, Value, json};

use super::entry;
use super::making::Making;
use super::slot::{self, Ports, Slot};
use super::text::Text;
use super::variables::Variables;
use super::yaml;
use crate::Stack;
use crate::shell::quoted;

/// The stack as a project of process-compose.
#[derive(Clone, Debug)]
pub struct Project {
    /// The text of `process-compose.yaml`.
    pub yaml: String,
    /// Files that its processes find in their run folders.
    pub files: Vec<File>,
    /// Folders that must exist.
    pub folders: Vec<PathBuf>,
}

/// A generated file. It contains the real values of variables and secrets.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is written.
    pub path: PathBuf,
    /// What is written into it.
    pub contents: String,
}

/// Makes the project of a stack. `root` is the folder of the stack, `core` the path of the `core` program.
///
/// # Errors
/// What cannot be written as YAML.
pub fn project(stack: &Stack, root: &Path, core: &Path) -> Result<Project, String> {
    let stack = &without_limits(stack);
    let variables = Variables::of(&stack.values);
    let state = root.join(".core-stack");
    let ports = slot::ports(&stack.topology, &stack.ports, &stack.range);
    let core = core.display().to_string();
    let names = Names::of(&stack.topology);
    let mut processes = Map::new();
    for (service, spec) in &stack.topology.services {
        for (name, replica) in names.entries(service) {
            let slot = Slot::new(spec, replica, &state, &ports);
            let making = Making {
                core: &core,
                state: &state,
                variables: &variables,
                slot: &slot,
                manifest: stack.drafts.services.get(service).map(|draft| &draft.node),
                depends_on: names.dependencies(spec),
                disabled: names.disabled.get(service).cloned(),
                stands_for_all: !names.apart.contains(service),
            };
            let entry = entry::entry(&making, &name);
            processes.insert(name, entry);
        }
    }
    let unset = unset(&variables, &Value::Object(processes.clone()));
    let shown = |path: &Path| Text::read(&variables, &path.display().to_string()).plain();
    let mut about = json!({"root": shown(root), "profile": stack.profile});
    if !unset.is_empty() {
        about["variables"] = json!(unset);
    }
    let value = json!({
        "version": "0.5",
        "is_strict": true,
        "ordered_shutdown": true,
        "shell": {"shell_command": "/bin/sh", "shell_argument": "-c"},
        "x-core": about,
        "processes": processes,
    });
    let yaml = yaml::write(&header(root, &unset), &value).map_err(|error| error.to_string())?;
    let (files, folders) = files(stack, &state, &ports, &names)?;
    Ok(Project { yaml, files, folders })
}

/// The stack without the service that counts requests: without core, the edge asks nobody.
fn without_limits(stack: &Stack) -> Stack {
    let mut stack = stack.clone();
    let edges = stack.topology.services.values().filter(|spec| spec.kind.is_edge());
    let limits: Vec<ServiceName> = edges.filter_map(|edge| core_caddy::limits_of(&edge.name).ok()).collect();
    // A service of that name with a manifest is another one.
    let drafts = &stack.drafts.services;
    stack.topology.services.retain(|name, _| !limits.contains(name) || drafts.contains_key(name));
    stack
}

/// The names of services in the file.
struct Names<'a> {
    topology: &'a Topology,
    /// Services whose replicas are separate processes.
    apart: BTreeSet<ServiceName>,
    /// Services that are not started, and why.
    disabled: BTreeMap<ServiceName, String>,
}

impl<'a> Names<'a> {
    fn of(topology: &'a Topology) -> Self {
        // process-compose probes all replicas of a process alike, so replicas that differ are separate processes.
        let many = topology.services.values().filter(|spec| spec.replicas > 1);
        let apart = many.filter(|spec| entry::is_told_apart(spec)).map(|spec| spec.name.clone()).collect();
        let mut disabled: BTreeMap<ServiceName, String> = BTreeMap::new();
        let own = topology.services.values().filter(|spec| spec.disabled);
        disabled.extend(own.map(|spec| (spec.name.clone(), "it is disabled".to_owned())));
        // In process-compose, a process that depends on a disabled one would not wait, but start.
        loop {
            let waits = topology.services.values().filter(|spec| !disabled.contains_key(&spec.name)).find_map(|spec| {
                let other = spec.depends_on.keys().find(|other| disabled.contains_key(*other))?;
                Some((spec.name.clone(), format!("disabled here, because it waits for {other}, which is")))
            });
            let Some((name, why)) = waits else { break };
            disabled.insert(name, why);
        }
        Self { topology, apart, disabled }
    }

    /// The processes of a service, each with its replica.
    fn entries(&self, service: &ServiceName) -> Vec<(String, u32)> {
        if !self.apart.contains(service) {
            return vec![(service.to_string(), 0)];
        }
        let replicas = self.topology.services.get(service).map_or(0, |spec| spec.replicas);
        (0..replicas).map(|replica| (format!("{service}-{replica}"), replica)).collect()
    }

    /// The processes that a service waits for.
    fn dependencies(&self, spec: &ServiceSpec) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for (other, condition) in &spec.depends_on {
            let readiness = self.topology.services.get(other).and_then(|other| other.readiness.as_ref());
            let word = match (condition, readiness.map(|probe| &probe.check)) {
                (Condition::ProcessHealthy, Some(Check::LogLine { .. })) => Condition::ProcessLogReady.word(),
                // The service reports itself when it is ready, but process-compose does not listen.
                (Condition::ProcessHealthy, Some(Check::Notify)) => Condition::ProcessStarted.word(),
                (condition, _) => condition.word(),
            };
            all.extend(self.entries(other).into_iter().map(|(name, _)| (name, word)));
        }
        all
    }
}

/// The variables of the file that are not set, and what they have to be set to.
fn unset(variables: &Variables, processes: &Value) -> BTreeMap<String, String> {
    let text = processes.to_string();
    let all = variables.unset.iter().filter(|(variable, _)| text.contains(&format!("${{{variable}}}")));
    all.map(|(variable, source)| (variable.clone(), source.clone())).collect()
}

/// The comment at the top of the file, for its readers.
fn header(root: &Path, unset: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = vec![
        "Written by core each time it has applied the manifests: this stack for process-compose.".to_owned(),
        "To run it there, end it here (`core down`), and type:".to_owned(),
        format!("  cd {}", quoted(&root.display().to_string())),
    ];
    for (variable, source) in unset {
        let value = if source.starts_with('.') { format!("\"$(cat {source})\"") } else { format!("\"<{source}>\"") };
        lines.push(format!("  export {variable}={value}"));
    }
    lines.push("  process-compose up -f .core-stack/process-compose.yaml".to_owned());
    lines
}

/// The generated files of all processes, and their folders.
fn files(stack: &Stack, state: &Path, ports: &Ports, names: &Names<'_>) -> Result<(Vec<File>, Vec<PathBuf>), String> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for (service, spec) in &stack.topology.services {
        let generated = if spec.kind.is_edge() { caddy_files(stack, spec, state, ports)? } else { spec.files.clone() };
        for (_, replica) in names.entries(service) {
            let slot = Slot::new(spec, replica, state, ports);
            if entry::needs_run_folder(spec) {
                folders.push(slot.run_folder().to_owned());
            }
            files.extend(generated.iter().map(|file| File {
                path: slot.files_folder().join(file.path.fill(&slot)),
                contents: file.contents.fill(&slot),
            }));
        }
    }
    Ok((files, folders))
}

/// The files of the edge, which listens and dials by itself.
fn caddy_files(stack: &Stack, edge: &ServiceSpec, state: &Path, ports: &Ports) -> Result<Vec<GeneratedFile>, String> {
    let services: BTreeMap<ServiceName, ServiceSpec> =
        stack.topology.services.iter().map(|(name, spec)| (name.clone(), ServiceSpec::clone(spec))).collect();
    let mut addresses = BTreeMap::new();
    for spec in services.values() {
        let Some(route) = &spec.route else { continue };
        let slots = (0..spec.replicas).map(|replica| Slot::new(spec, replica, state, ports));
        let numbers = slots.filter_map(|slot| slot.port_number(&route.port));
        let all: BTreeSet<String> = numbers.map(|number| format!("127.0.0.1:{number}")).collect();
        addresses.insert(spec.name.clone(), all.into_iter().collect());
    }
    let data = state.with_file_name(".data").display().to_string();
    let around = Surroundings {
        data: &data,
        lists: &stack.drafts.lists,
        folders: &stack.drafts.folders,
        ..Surroundings::of(&services)
    };
    let config = core_caddy::config_file(edge, around, Wiring::Direct(&addresses))
        .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
    let others = edge.files.iter().filter(|file| file.path != config.path).cloned();
    Ok(others.chain([config.clone()]).collect())
}
