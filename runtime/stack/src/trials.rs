//! Releases that run beside the live one of their service: each gets a copy of its manifest, as if it had one of its own.

use std::collections::BTreeMap;

use core_engine::trial::Trial;
use core_manifest::manifest::Source;
use core_manifest::tree::{self, Key, Node, Value};
use core_manifest::{ServiceName, ServiceSpec, Span};

use crate::draft::{Draft, Drafts, Head};

impl Drafts {
    /// Adds a copy of the manifest of each service with a trial.
    pub(super) fn put_trials(&mut self, trials: &BTreeMap<ServiceName, Trial>) {
        for (name, trial) in trials {
            let has_releases =
                |draft: &&Draft| draft.head.binaries.iter().flat_map(|binary| &binary.sources).any(Source::is_release);
            let Some(draft) = self.services.get(&name.parent()).filter(has_releases) else { continue };
            let mut node = draft.node.clone();
            free_ports(&mut node);
            if let Trial::Preview { .. } = trial {
                own_variables(&mut node);
            }
            // Faults of the manifest are reported once.
            self.services.insert(name.clone(), Draft { head: Head::of(&node), node, faults: Vec::new() });
        }
    }
}

/// What is otherwise with a trial than with its service. How many replicas it has, the engine says.
pub(super) fn adapt(spec: &mut ServiceSpec) {
    // The end of something that is tried is not the end of the stack.
    spec.availability.exit_on_end = false;
    spec.availability.exit_on_skipped = false;
    spec.disabled = false;
    spec.update.warm = std::time::Duration::ZERO;
}

/// Two releases cannot listen on one port: each has a free one.
fn free_ports(node: &mut Node) {
    let Some(Node { value: Value::Object(ports), .. }) = node.get_mut("ports") else { return };
    for (_, port) in ports.iter_mut() {
        let span = port.span.clone();
        put(port, "port", Value::String("auto".into()), &span);
        put(port, "hold", Value::Bool(false), &span);
    }
}

/// The variables of previews, over those of the service.
fn own_variables(node: &mut Node) {
    let own = node.get("config").and_then(|config| config.get("preview")).and_then(|preview| preview.get("env"));
    let Some(own) = own.cloned() else { return };
    let object = |key: &str, value: Node| {
        let key = Key { name: key.to_owned(), span: own.span.clone() };
        Node::new(Value::Object(vec![(key, value)]), own.span.clone())
    };
    tree::merge(node, &object("process", object("env", own.clone())));
}

/// Sets the value of a key of an object.
fn put(node: &mut Node, key: &str, value: Value, span: &Span) {
    let Value::Object(entries) = &mut node.value else { return };
    let value = Node::new(value, span.clone());
    match entries.iter_mut().find(|(have, _)| have.name == key) {
        Some((_, have)) => *have = value,
        None => entries.push((Key { name: key.to_owned(), span: span.clone() }, value)),
    }
}
