//! The port of the edge, where nobody has chosen one: with the profile `local`, another checkout of the same project may
//! have the default one, and the stack gets the next that is free. It keeps it from then on.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::manifest::PortNumber;
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
        let (name, draft) = self.services.iter_mut().find(|(_, draft)| draft.head.kind.is_edge())?;
        let is_default = |port: &str| defaults::are_in(&draft.node.span_at(&["ports", port, "port"]).file);
        let (port, first) = draft.head.ports.iter().find_map(|(port, one)| Some((port.clone(), number(one)?)))?;
        if !is_default(port.as_str()) {
            return None;
        }
        let key = (name.clone(), 0, port.clone());
        let before = kept.get(&key).copied();
        let mut all = before.into_iter().chain(first..first.saturating_add(TRIED));
        let chosen = all.find(|number| !busy.contains(number))?;
        self.ports.insert(key, chosen);
        if chosen == first {
            return None;
        }
        let node = draft.node.get_mut("ports")?.get_mut(port.as_str())?.get_mut("port")?;
        node.value = Value::Number(chosen.into());
        draft.head.ports.get_mut(&port)?.port = PortNumber::Fixed(chosen);
        let news =
            format!("port {first} is taken by another process: this stack's edge is at http://localhost:{chosen}/");
        (before != Some(chosen)).then_some(news)
    }
}
