//! Finds a cycle among dependencies, and names all of it.

use std::collections::BTreeMap;

use core_manifest::{Diagnostic, ServiceName};

use super::{Places, Topology};

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Open,
    Done,
}

/// The first cycle, if there is one: `a → b → a`, at the line that closes it.
pub(super) fn find(topology: &Topology, places: &dyn Places) -> Option<Diagnostic> {
    let mut marks: BTreeMap<&ServiceName, Mark> = BTreeMap::new();
    let mut path: Vec<&ServiceName> = Vec::new();
    for name in topology.services.keys() {
        if let Some(cycle) = visit(topology, name, &mut marks, &mut path) {
            let names: Vec<&str> = cycle.iter().map(|name| name.as_str()).collect();
            let (last, first) = (cycle[cycle.len() - 2], cycle[0]);
            let at = places.key(last, &["process", "compose", "depends_on", first.as_str()]);
            return Some(
                Diagnostic::new("cycle", format!("services wait for each other: {}", names.join(" → ")))
                    .at_opt(at)
                    .help("take one of these dependencies away")
                    .service(last.as_str()),
            );
        }
    }
    None
}

fn visit<'a>(
    topology: &'a Topology,
    name: &'a ServiceName,
    marks: &mut BTreeMap<&'a ServiceName, Mark>,
    path: &mut Vec<&'a ServiceName>,
) -> Option<Vec<&'a ServiceName>> {
    match marks.get(name) {
        Some(Mark::Done) => return None,
        Some(Mark::Open) => {
            let start = path.iter().position(|have| *have == name)?;
            let mut cycle = path[start..].to_vec();
            cycle.push(name);
            return Some(cycle);
        }
        None => {}
    }
    let spec = topology.services.get(name)?;
    marks.insert(name, Mark::Open);
    path.push(name);
    for other in spec.depends_on.keys() {
        // A service that depends on itself is reported where its own manifest is read.
        if other == name {
            continue;
        }
        if let Some(cycle) = visit(topology, other, marks, path) {
            return Some(cycle);
        }
    }
    path.pop();
    marks.insert(name, Mark::Done);
    None
}
