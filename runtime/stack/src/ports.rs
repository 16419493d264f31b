//! Ports of one service that others refer to. What one manifest cannot know is a hole until all have been read.

use std::collections::{BTreeMap, BTreeSet};

use core_manifest::manifest::Strategy;
use core_manifest::placeholder::place_of_hole;
use core_manifest::schema::{Candidates, Shape};
use core_manifest::template::Piece;
use core_manifest::tree::{Node, Value};
use core_manifest::{Diagnostic, Identifier, ServiceName, ServiceSpec, Template};

use crate::draft::Drafts;
use crate::draft::number;

/// All ports that a manifest may refer to, with their numbers; `None` for auto ports. By service, or by the manifest
/// that stands for several.
pub(super) fn of_all(drafts: &Drafts) -> BTreeMap<String, BTreeMap<Identifier, Option<u16>>> {
    let numbers = |name: &ServiceName| -> BTreeMap<Identifier, Option<u16>> {
        let draft = drafts.services.get(name);
        let ports = draft.into_iter().flat_map(|draft| &draft.head.ports);
        ports.map(|(name, port)| (name.clone(), number(port))).collect()
    };
    let own = drafts.services.keys().map(|name| (name.to_string(), numbers(name)));
    let stand_ins = drafts.stand_ins().map(|(manifest, first)| (manifest.to_string(), numbers(first)));
    own.chain(stand_ins).collect()
}

/// Puts the numbers of ports into all services that refer to them. A reference to a port that may change while the
/// stack is up is an error.
pub(super) fn tell(
    drafts: &mut Drafts,
    specs: &mut BTreeMap<ServiceName, ServiceSpec>,
    shape: &Shape,
    out: &mut Vec<Diagnostic>,
) {
    // Other services whose ports cannot be referred to, and why.
    let mut untold: BTreeMap<String, &str> = BTreeMap::new();
    let stand_ins: Vec<_> = drafts.stand_ins().map(|(manifest, first)| (manifest.to_string(), first.clone())).collect();
    let all = specs.keys().map(|name| (name.to_string(), name.clone())).chain(stand_ins);
    for (called, name) in all {
        let Some(spec) = specs.get(&name) else { continue };
        let why = match (spec.update.strategy, spec.replicas) {
            (Strategy::Restart, 2..) => Some("has several replicas, each with a port of its own"),
            (Strategy::Restart, _) => None,
            _ => Some("is swapped when it changes, so this port is another one each time"),
        };
        for (port, _) in spec.ports.iter().filter(|(_, port)| port.number.is_none()) {
            if let Some(number) = drafts.ports.get(&(name.clone(), 0, port.clone())).filter(|_| why.is_none()) {
                drafts.told.insert((called.clone(), port.clone()), *number);
            }
        }
        untold.extend(why.map(|why| (called, why)));
    }
    for (name, spec) in specs.iter_mut() {
        let (mut has_holes, mut complained) = (false, BTreeSet::new());
        let Some(draft) = drafts.services.get_mut(name) else { continue };
        spec.fill_ports(&mut |service, port| {
            has_holes = true;
            let hole = Piece::PortOf(service.to_owned(), port.clone());
            // Nothing is known about a service whose own manifest is not valid, so no error is added.
            if let Some(why) = untold.get(service).filter(|_| complained.insert(hole.clone())) {
                let written = Template::from_pieces([hole.clone()]);
                let fault = Diagnostic::new("swapped-port", format!("`{written}`: `{service}` {why}"));
                let help = "go through the edge, or hold the port (`\"hold\": true`)";
                out.push(fault.at_opt(place_of_hole(&draft.node, &hole)).service(name.as_str()).help(help));
            }
            drafts.told.get(&(service.to_owned(), port.clone())).copied()
        });
        if has_holes {
            fill(&mut draft.node, &shape.start(), &drafts.told);
        }
    }
}

/// Puts the numbers into a tree as well, where it shows the resolved manifest.
fn fill(node: &mut Node, at: &Candidates<'_>, told: &BTreeMap<(String, Identifier), u16>) {
    match &mut node.value {
        Value::Object(entries) => {
            for (key, child) in entries {
                fill(child, &at.key(&key.name), told);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|child| fill(child, &at.element(), told)),
        Value::String(text) if at.is_template() => {
            let mut number = |service: &str, port: &Identifier| told.get(&(service.to_owned(), port.clone())).copied();
            if let Some(made_of) = &mut node.made_of {
                made_of.fill_ports(&mut number);
            }
            if let Ok(mut template) = Template::parse(text) {
                template.fill_ports(&mut number);
                *text = template.written();
            }
        }
        _ => {}
    }
}
