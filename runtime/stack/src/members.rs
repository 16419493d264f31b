//! Manifests that stand for several servers: each server gets a copy, as if it had a manifest of its own.

use core_manifest::manifest::{Config, Kind};
use core_manifest::spec::Condition;
use core_manifest::tree::{Key, Node, Value};
use core_manifest::{Diagnostic, ServiceName, ServiceSpec};
use core_nats::Member;

use crate::draft::Head;
use crate::draft::{Draft, Drafts};
use crate::drivers;
use crate::sources::Sources;

impl Drafts {
    /// Replaces each manifest that stands for several servers by those servers.
    pub(super) fn put_members(&mut self, sources: &Sources, out: &mut Vec<Diagnostic>) {
        let names: Vec<ServiceName> = self.services.keys().cloned().collect();
        for name in names {
            let Some((at, all)) = self.members_of(&name, sources, out) else { continue };
            let made = all.iter().map(|member| member.name.clone()).chain(drivers::join_of(&name));
            if let Some(clash) = made.into_iter().find(|made| self.services.contains_key(made)) {
                let message = format!("`{name}` makes a service `{clash}`, and there is one of that name");
                let fault = Diagnostic::new("duplicate-name", message).at(at).service(name.as_str());
                out.push(fault.help("rename the folder of the service"));
                continue;
            }
            let Some(draft) = self.services.remove(&name) else { continue };
            for member in all {
                let mut node = draft.node.clone();
                set_ports(&mut node, &member);
                let faults = if member.is_first() { draft.faults.clone() } else { Vec::new() };
                self.services.insert(member.name.clone(), Draft { head: Head::of(&node), node, faults });
                self.members.insert(member.name.clone(), member);
            }
        }
    }

    fn members_of(
        &self,
        name: &ServiceName,
        sources: &Sources,
        out: &mut Vec<Diagnostic>,
    ) -> Option<(core_manifest::Span, Vec<Member>)> {
        let Draft { node, head: Head { kind, .. }, .. } = self.services.get(name)?;
        let (kind, word) = (*kind, kind.word());
        let config = node.get("config")?;
        let at = config.span.clone();
        let settings = drivers::settings(kind);
        if settings.is_empty() {
            let [first, others @ ..] = drivers::WITH_SETTINGS.map(Kind::word);
            let with_settings = format!("{} and {first}", others.join(", "));
            out.push(
                Diagnostic::new("bad-config", format!("`{name}` is of kind {word}, which has no `config`"))
                    .at(node.key_span_at(&["config"]))
                    .service(name.as_str())
                    .help(format!("remove it; only kinds {with_settings} have settings of their own")),
            );
            return None;
        }
        // A key that no kind has is reported when the whole manifest is checked.
        let is_known = |key: &str| drivers::WITH_SETTINGS.iter().any(|kind| drivers::settings(*kind).contains(&key));
        let is_of_another = |key: &str| is_known(key) && !settings.contains(&key);
        if let Value::Object(keys) = &config.value
            && let Some((key, _)) = keys.iter().find(|(key, _)| is_of_another(&key.name))
        {
            let message = format!("`{}` is not a setting of kind {word}", key.name);
            let fault = Diagnostic::new("bad-config", message).at(key.span.clone()).service(name.as_str());
            out.push(fault.help(format!("settings of kind {word}: {}", settings.join(", "))));
            return None;
        }
        // Invalid values are reported when the whole manifest is checked.
        let config: Config = serde_json::from_value(config.to_json()).ok()?;
        match drivers::members(kind, name, &config, &sources.profile) {
            Ok(all) => Some((at, all?)),
            Err(core_nats::Fault { message, help, path }) => {
                let path: Vec<&str> = ["config"].into_iter().chain(path.iter().map(String::as_str)).collect();
                let fault = Diagnostic::new("bad-config", message).at(node.span_at(&path));
                out.push(fault.service(name.as_str()).help(help));
                None
            }
        }
    }

    /// The manifests that stand for several servers, each with its first server.
    pub(super) fn stand_ins(&self) -> impl Iterator<Item = (&ServiceName, &ServiceName)> {
        self.members.values().filter(|member| member.is_first()).map(|member| (&member.manifest, &member.name))
    }

    /// A dependency on such a manifest becomes one on each server of its hub, and on its one-shot for stored streams.
    pub(super) fn redirect(&self, spec: &mut ServiceSpec) {
        for (manifest, _) in self.stand_ins() {
            let Some(condition) = spec.depends_on.remove(manifest) else { continue };
            let hub = self.members.values().filter(|member| member.manifest == *manifest && member.is_of_hub());
            spec.depends_on.extend(hub.clone().map(|member| (member.name.clone(), condition)));
            if hub.clone().any(Member::is_clustered) {
                let join = drivers::join_of(manifest);
                spec.depends_on.extend(join.map(|join| (join, Condition::ProcessCompletedSuccessfully)));
            }
        }
    }
}

/// The first server has the ports of the manifest; the others have auto ports with the same names. Each also has the
/// ports of its role.
fn set_ports(node: &mut Node, member: &Member) {
    let span = node.span_at(&["ports"]);
    if node.get("ports").is_none() {
        // The driver reports the missing port.
        return;
    }
    let auto = |name: &str, span: &core_manifest::Span| {
        let key = |name: &str| Key { name: name.to_owned(), span: span.clone() };
        let word = Node::new(Value::String("auto".into()), span.clone());
        (key(name), Node::new(Value::Object(vec![(key("port"), word)]), span.clone()))
    };
    let Some(Node { value: Value::Object(ports), .. }) = node.get_mut("ports") else { return };
    if !member.is_first() {
        for (_, port) in ports.iter_mut() {
            let Some(number) = port.get_mut("port") else { continue };
            number.value = Value::String("auto".into());
        }
    }
    for own in member.own_ports() {
        if !ports.iter().any(|(key, _)| key.name == *own) {
            ports.push(auto(own, &span));
        }
    }
}
