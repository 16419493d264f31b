//! The port of the edge, where nobody has chosen one: with the profile `local`, another checkout of the same project may
//! have the default one, and the stack gets the next that is free. It keeps it from then on.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::manifest::{PortNumber, Protocol};
use core_manifest::tree::Value;
use core_manifest::{Identifier, ServiceName};

use crate::defaults;
use crate::draft::{Drafts, number};

/// The profile in which the port may be another one.
const PROFILE: &str = "local";
/// How many ports are tried.
const TRIED: u16 = 100;

impl Drafts {
    /// Gives the edge another port if a process outside the stack listens on its default one. `kept` are ports given
    /// before, `busy` those that such a process listens on. Returns what to tell people, if this is news.
    pub fn move_edge(
        &mut self,
        profile: &str,
        kept: &BTreeMap<(ServiceName, u32, Identifier), u16>,
        busy: &BTreeSet<u16>,
    ) -> Option<String> {
        if profile != PROFILE {
            return None;
        }
        let (name, draft) = self.services.iter().find(|(_, draft)| draft.head.kind.is_edge())?;
        let is_default = |port: &str| defaults::are_in(&draft.node.span_at(&["ports", port, "port"]).file);
        let all = draft.head.ports.iter().filter(|(port, _)| is_default(port.as_str()));
        let all: Vec<_> = all.filter_map(|(port, one)| Some((port.clone(), number(one)?, one.protocol))).collect();
        let name = name.clone();
        let news: Vec<String> = all
            .into_iter()
            .filter_map(|(port, first, protocol)| self.move_port(&name, &port, first, protocol, kept, busy))
            .collect();
        // The last one is that with certificates.
        news.into_iter().last()
    }

    /// Gives this port of the edge another number if a process outside the stack listens on `first`. Returns what to tell
    /// people, if this is news.
    fn move_port(
        &mut self,
        name: &ServiceName,
        port: &Identifier,
        first: u16,
        protocol: Protocol,
        kept: &BTreeMap<(ServiceName, u32, Identifier), u16>,
        busy: &BTreeSet<u16>,
    ) -> Option<String> {
        let key = (name.clone(), 0, port.clone());
        let before = kept.get(&key).copied();
        let mut all = before.into_iter().chain(first..first.saturating_add(TRIED));
        let chosen = all.find(|number| !busy.contains(number))?;
        self.ports.insert(key, chosen);
        if chosen == first {
            return None;
        }
        let draft = self.services.get_mut(name)?;
        let node = draft.node.get_mut("ports")?.get_mut(port.as_str())?.get_mut("port")?;
        node.value = Value::Number(chosen.into());
        draft.head.ports.get_mut(port)?.port = PortNumber::Fixed(chosen);
        let scheme = if protocol == Protocol::Https { "https" } else { "http" };
        let news =
            format!("port {first} is taken by another process: this stack's edge is at {scheme}://localhost:{chosen}/");
        (before != Some(chosen)).then_some(news)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use core_manifest::SourceFile;

    use super::*;
    use crate::sources::{Apps, Sources};

    struct NoApps;

    impl Apps for NoApps {
        fn find(&self) -> Vec<String> {
            Vec::new()
        }

        fn read(&self, _app: &str, _name: &str) -> Option<String> {
            None
        }
    }

    fn drafts(manifest: &str) -> Drafts {
        let file = SourceFile { path: "services/edge/service.json".into(), text: manifest.into() };
        let manifests = [("edge".to_owned(), Some(Arc::new(file)))].into();
        let sources = Sources { manifests, profile: PROFILE.into(), ..Sources::default() };
        Drafts::read(&sources, &NoApps, &mut Vec::new())
    }

    fn port_of(drafts: &Drafts) -> Option<u16> {
        drafts.services.values().find_map(|draft| draft.head.ports.values().find_map(number))
    }

    #[test]
    fn a_default_port_that_is_taken_is_another_one_and_stays_that() {
        let short = r#"{"kind": "caddy"}"#;
        let first = port_of(&drafts(short)).unwrap();
        let busy: BTreeSet<u16> = [first, first + 1].into();
        let mut one = drafts(short);
        let said = one.move_edge(PROFILE, &BTreeMap::new(), &busy).unwrap();
        assert!(said.contains(&format!("localhost:{}/", first + 2)), "{said}");
        assert_eq!(port_of(&one), Some(first + 2));
        // Once it is known it is no news, and it stays though the default one is free by now.
        let kept = one.ports.clone();
        let mut again = drafts(short);
        assert_eq!(again.move_edge(PROFILE, &kept, &BTreeSet::new()), None);
        assert_eq!(port_of(&again), Some(first + 2));
        // With another profile, or if somebody chose it, a taken port is an error later.
        let mut other = drafts(short);
        assert_eq!(other.move_edge("production", &BTreeMap::new(), &busy), None);
        let mut chosen = drafts(&format!(r#"{{"kind": "caddy", "ports": {{"http": {{"port": {first}}}}}}}"#));
        assert_eq!(chosen.move_edge(PROFILE, &BTreeMap::new(), &busy), None);
        assert_eq!((port_of(&other), port_of(&chosen)), (Some(first), Some(first)));
    }
}
