//! The services and their dependencies, as a tree, as Mermaid and as DOT. Pure: it turns the graph from the supervisor
//! or the manifests, and the phases of a running stack, into lines.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;
use core_engine::phase::PhaseName;
use core_host::api::{self, GraphService, InstanceStatus, Status};

use super::{BOLD, DIM, GREEN, RED, YELLOW, phase_style, styled};

/// The services of a stack, with their dependencies and routes.
pub(crate) struct Graph {
    nodes: BTreeMap<String, Node>,
    /// The edge, if the stack has one.
    edge: Option<String>,
}

/// One service.
struct Node {
    service: GraphService,
    /// Its phase, if the stack runs.
    phase: Option<(String, Style)>,
}

impl Graph {
    /// Builds the graph, with phases if the stack runs.
    pub(crate) fn of(graph: api::Graph, status: Option<&Status>) -> Self {
        let edge = graph.services.iter().find(|one| one.is_edge).map(|one| one.service.clone());
        let node = |service: GraphService| {
            let phase = status.and_then(|status| phase(&status.instances, &service.service));
            (service.service.clone(), Node { service, phase })
        };
        let nodes = graph.services.into_iter().map(node).collect();
        Self { nodes, edge }
    }

    /// A tree for people; the services that nothing depends on are its roots.
    pub(crate) fn text(&self) -> Vec<String> {
        let needed: BTreeSet<&str> =
            self.nodes.values().flat_map(|node| &node.service.depends_on).map(|on| on.service.as_str()).collect();
        let is_edge = |name: &str| self.edge.as_deref() == Some(name);
        let mut roots: Vec<&str> =
            self.nodes.keys().map(String::as_str).filter(|name| !needed.contains(name)).collect();
        roots.sort_by_key(|name| (!is_edge(name), *name));
        let mut lines = Vec::new();
        let mut shown = BTreeSet::new();
        for root in roots {
            self.branch(root, "", "", "", &mut shown, &mut lines);
        }
        lines
    }

    /// A service and the branches below it. `first` is the prefix of its own line, `rest` of the others.
    fn branch<'a>(
        &'a self,
        name: &'a str,
        condition: &str,
        first: &str,
        rest: &str,
        shown: &mut BTreeSet<&'a str>,
        lines: &mut Vec<String>,
    ) {
        let Some(node) = self.nodes.get(name) else { return };
        let is_first = shown.insert(name);
        let routes = self.routes_from(name);
        let shown_name = if is_first { styled(BOLD, name) } else { name.to_owned() };
        let mut words = vec![std::iter::once(shown_name).chain(node.copies()).collect::<Vec<_>>().join(" ")];
        words.extend(node.state().map(|(word, style)| styled(style, &word)));
        let notes: Vec<&str> =
            [condition, if is_first { "" } else { "see above" }].into_iter().filter(|note| !note.is_empty()).collect();
        if !notes.is_empty() {
            words.push(styled(DIM, &format!("({})", notes.join(", "))));
        }
        lines.push(format!("{}{}", styled(DIM, first), words.join("  ")));
        if !is_first {
            return;
        }
        let mut left = routes.len() + node.service.depends_on.len();
        let mut fork = |line: &str| {
            left -= 1;
            let (mark, below) = if left == 0 { ("└", "   ") } else { ("├", "│  ") };
            (format!("{rest}{mark}{line} "), format!("{rest}{below}"))
        };
        for (to, route) in routes {
            let (first, _) = fork("╌");
            lines.push(format!("{}{route} {} {to}", styled(DIM, &first), styled(DIM, "->")));
        }
        for on in &node.service.depends_on {
            let (first, rest) = fork("─");
            self.branch(&on.service, &on.condition, &first, &rest, shown, lines);
        }
    }

    /// The routes of the edge, as service and route; empty for any other service.
    fn routes_from(&self, name: &str) -> Vec<(&str, &str)> {
        let of = self.nodes.iter().filter(|_| self.edge.as_deref() == Some(name));
        of.flat_map(|(to, node)| node.service.routes.iter().map(|route| (to.as_str(), route.as_str()))).collect()
    }

    /// Mermaid text, for Markdown.
    pub(crate) fn mermaid(&self) -> Vec<String> {
        // A name may be a keyword of Mermaid (`end`), so it only appears in labels.
        let id = |name: &str| format!("s_{}", name.replace('-', "_"));
        let label = |text: &str| text.replace('"', "#quot;");
        let mut lines = vec!["flowchart LR".to_owned()];
        for (name, node) in &self.nodes {
            let text = node.label(name).join("<br>");
            let (open, close) = if self.edge.as_ref() == Some(name) { ("([", "])") } else { ("[", "]") };
            lines.push(format!("    {}{open}\"{}\"{close}", id(name), label(&text)));
        }
        for arrow in self.arrows() {
            let line = if arrow.is_route { "-.->" } else { "-->" };
            lines.push(format!("    {} {line}|\"{}\"| {}", id(arrow.from), label(arrow.label), id(arrow.to)));
        }
        lines
    }

    /// DOT text, for Graphviz.
    pub(crate) fn dot(&self) -> Vec<String> {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut lines = vec!["digraph stack {".to_owned(), "    rankdir=LR;".into(), "    node [shape=box];".into()];
        for (name, node) in &self.nodes {
            let text = quoted(&node.label(name).join("\n")).replace('\n', "\\n");
            let shape = if self.edge.as_ref() == Some(name) { ", shape=oval" } else { "" };
            lines.push(format!("    {} [label={text}{shape}];", quoted(name)));
        }
        for arrow in self.arrows() {
            let style = if arrow.is_route { ", style=dashed" } else { "" };
            let (from, to) = (quoted(arrow.from), quoted(arrow.to));
            lines.push(format!("    {from} -> {to} [label={}{style}];", quoted(arrow.label)));
        }
        lines.push("}".into());
        lines
    }

    fn arrows(&self) -> Vec<Arrow<'_>> {
        let needs = self.nodes.iter().flat_map(|(from, node)| {
            node.service.depends_on.iter().map(|on| Arrow {
                from,
                to: &on.service,
                label: &on.condition,
                is_route: false,
            })
        });
        let edge = self.edge.as_deref().unwrap_or_default();
        let routes = self.routes_from(edge).into_iter();
        needs.chain(routes.map(|(to, label)| Arrow { from: edge, to, label, is_route: true })).collect()
    }
}

/// An arrow from one service to another.
struct Arrow<'a> {
    from: &'a str,
    to: &'a str,
    label: &'a str,
    is_route: bool,
}

impl Node {
    /// Its phase, or why it will not be started.
    fn state(&self) -> Option<(String, Style)> {
        self.phase.clone().or_else(|| self.service.disabled.then(|| ("disabled".to_owned(), DIM)))
    }

    /// The number of its replicas, unless it is 1.
    fn copies(&self) -> Option<String> {
        (self.service.replicas != 1).then(|| format!("x {}", self.service.replicas))
    }

    /// Its name and state, without colours.
    fn label(&self, name: &str) -> Vec<String> {
        let name = std::iter::once(name.to_owned()).chain(self.copies()).collect::<Vec<_>>().join(" ");
        std::iter::once(name).chain(self.state().map(|(word, _)| word)).collect()
    }
}

/// The phase of a service's instances, with the number in each phase if they differ.
fn phase(instances: &[InstanceStatus], service: &str) -> Option<(String, Style)> {
    let mut counts: BTreeMap<PhaseName, (usize, Style)> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| instance.service == service) {
        counts.entry(instance.phase).or_insert((0, phase_style(instance))).0 += 1;
    }
    // The colour of the worst phase.
    let worst = [RED, YELLOW, DIM, GREEN].into_iter().find(|style| counts.values().any(|(_, one)| one == style))?;
    let words: Vec<String> = match counts.iter().next() {
        Some((phase, (1, _))) if counts.len() == 1 => vec![phase.word().to_owned()],
        _ => counts.iter().map(|(phase, (count, _))| format!("{count} {}", phase.word())).collect(),
    };
    Some((words.join(", "), worst))
}
