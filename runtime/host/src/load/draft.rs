//! Manifests as trees, with the profile applied; and what must be known of all of them before one can be finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_engine::topology::PortRange;
use core_manifest::manifest::{Binary, Kind, Port, PortNumber, Route, StackManifest, Strategy, Update};
use core_manifest::placeholder::Scope;
use core_manifest::schema::Shape;
use core_manifest::tree::{self, Key, Node, Value};
use core_manifest::{Diagnostic, Identifier, Manifest, ServiceName, SourceFile, Span, dotenv, spec};
use core_nats::Member;

use super::Sources;

/// One manifest, with the profile applied.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The tree; as written but for the profile, and later with its placeholders replaced.
    pub node: Node,
    /// What is known before everything else.
    pub outline: Outline,
}

/// What others must know of a service before it can be finished.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Its kind.
    pub kind: Kind,
    /// Its binaries.
    pub binaries: Vec<Binary>,
    /// Its ports.
    pub ports: BTreeMap<Identifier, Port>,
    /// How it is replaced.
    pub restarts: bool,
    /// How many.
    pub replicas: u32,
}

/// All manifests of a stack.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    /// By name.
    pub services: BTreeMap<ServiceName, Draft>,
    /// Of these services, those that are servers of one manifest.
    pub members: BTreeMap<ServiceName, Member>,
    /// Services whose manifest makes no sense; what refers to them is not complained of besides.
    pub faulty: BTreeSet<String>,
    /// Services that the profile leaves out.
    pub left_out: BTreeSet<ServiceName>,
    /// Variables of `.env` that the environment does not have.
    pub dotenv: BTreeMap<String, String>,
    /// Variables of the profile.
    pub profile_env: BTreeMap<String, String>,
    /// Ports given by name.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// The range of ports.
    pub range: PortRange,
    /// Edits are applied as they are saved.
    pub watch: bool,
}

impl Drafts {
    /// Reads trees from texts.
    pub(super) fn read(sources: &Sources, out: &mut Vec<Diagnostic>) -> Self {
        let mut drafts = Self { watch: true, ..Self::default() };
        if let Some(file) = &sources.dotenv {
            let mut all = dotenv::parse(file, out);
            // The environment of `core up` outranks the file.
            all.retain(|name, _| !sources.env.contains_key(name));
            drafts.dotenv = all;
        }
        let mut patches = drafts.read_stack(sources, out);
        for (folder, file) in &sources.manifests {
            let name = match ServiceName::new(folder) {
                Ok(name) => name,
                Err(rule) => {
                    let code = if core_manifest::name::RESERVED.contains(&folder.as_str()) {
                        "reserved-name"
                    } else {
                        "bad-name"
                    };
                    let mut fault = Diagnostic::new(code, format!("the service name `{folder}` {rule}"))
                        .help(format!("rename the folder services/{folder}"));
                    if let Some(file) = file {
                        fault = fault.at(Span::file(file.clone()));
                    }
                    out.push(fault);
                    drafts.faulty.insert(folder.clone());
                    continue;
                }
            };
            let patch = patches.remove(folder);
            if matches!(patch.as_ref().map(|(_, node)| &node.value), Some(Value::Null)) {
                drafts.left_out.insert(name);
                continue;
            }
            match file.as_ref().and_then(|file| read_tree(file, patch.as_ref().map(|(_, node)| node), out)) {
                Some(node) => {
                    drafts.services.insert(name, Draft { node, outline: Outline::default() });
                }
                None => {
                    drafts.faulty.insert(folder.clone());
                }
            }
        }
        for (name, (key, _)) in patches {
            let known = sources.manifests.keys().map(String::as_str);
            let guess = core_manifest::name::nearest(&name, known).map(|guess| format!("did you mean `{guess}`?"));
            out.push(
                Diagnostic::new(
                    "unknown-service",
                    format!("the profile changes `{name}`, and there is no such service"),
                )
                .at(key.span)
                .help_opt(guess.or_else(|| Some(format!("add services/{name}/service.json, or take this out")))),
            );
        }
        drafts.put_members(sources, out);
        drafts.outline(sources);
        drafts
    }

    /// Reads the profile; returns the changes of services.
    fn read_stack(&mut self, sources: &Sources, out: &mut Vec<Diagnostic>) -> BTreeMap<String, (Key, Node)> {
        let Some(file) = &sources.stack else { return BTreeMap::new() };
        let Some(mut node) = tree::parse(file, out) else { return BTreeMap::new() };
        let shape = Shape::of::<StackManifest>();
        let before = out.len();
        if let Some(env) = node.get_mut("env") {
            let scope = Scope {
                root: sources.root.clone(),
                edge: sources.edge.clone(),
                env: self.env(sources),
                ..Scope::default()
            };
            scope.resolve(env, &shape.start().key("env"), out);
        }
        shape.check(&node, out);
        let patches = node.get("services").map(Node::entries).unwrap_or_default();
        let patches = patches.iter().map(|(key, node)| (key.name.clone(), (key.clone(), node.clone()))).collect();
        if out.len() > before {
            return patches;
        }
        let Ok(stack) = serde_json::from_value::<StackManifest>(node.to_json()) else { return patches };
        if let Some(range) = &stack.ports.auto {
            match parse_range(range) {
                Ok(range) => self.range = range,
                Err(message) => out.push(
                    Diagnostic::new("wrong-value", format!("`ports.auto` {message}"))
                        .at(node.span_at(&["ports", "auto"]))
                        .help("for example \"20000-29999\""),
                ),
            }
        }
        self.watch = stack.watch.unwrap_or(true);
        self.profile_env = stack.env;
        patches
    }

    /// What `${env.X}` sees.
    pub(super) fn env(&self, sources: &Sources) -> BTreeMap<String, String> {
        let mut env = self.dotenv.clone();
        env.extend(sources.env.clone());
        env.extend(self.profile_env.clone());
        env
    }

    /// Fills in the outlines. What is wrong is complained of later, when the whole manifest is checked.
    fn outline(&mut self, sources: &Sources) {
        let shape = Shape::of::<Manifest>();
        let scope = Scope {
            root: sources.root.clone(),
            edge: sources.edge.clone(),
            env: self.env(sources),
            secrets: sources.secrets.clone(),
            ..Scope::default()
        };
        for draft in self.services.values_mut() {
            desugar(&mut draft.node);
            let part = |key: &str| -> Option<serde_json::Value> {
                let mut node = draft.node.get(key)?.clone();
                scope.resolve(&mut node, &shape.start().key(key), &mut Vec::new());
                Some(node.to_json())
            };
            let read = |key: &str| part(key).unwrap_or(serde_json::Value::Null);
            let kind = serde_json::from_value(read("kind")).unwrap_or_default();
            let binaries: Vec<Binary> = serde_json::from_value(read("binaries")).unwrap_or_default();
            let ports: BTreeMap<String, Port> = serde_json::from_value(read("ports")).unwrap_or_default();
            let update: Update = serde_json::from_value(read("update")).unwrap_or_default();
            let route: Option<Route> = serde_json::from_value(read("route")).unwrap_or_default();
            let compose = draft.node.get("process").and_then(|process| process.get("compose"));
            let replicas = compose.and_then(|compose| compose.get("replicas")).map(Node::to_json);
            let numbers: Vec<(Option<u16>, bool)> =
                ports.values().map(|port| (number(port), port.is_held(kind))).collect();
            let (default, _) = spec::default_strategy(route.is_some(), numbers.iter().copied(), has_own_probe(compose));
            let ports =
                ports.into_iter().filter_map(|(name, port)| Some((Identifier::new(&name).ok()?, port))).collect();
            draft.outline = Outline {
                kind,
                binaries,
                ports,
                restarts: update.strategy.unwrap_or(default) == Strategy::Restart,
                replicas: replicas.and_then(|value| u32::try_from(value.as_u64()?).ok()).unwrap_or(1),
            };
        }
    }

    /// Gives ports to the auto ports of services that are restarted: each slot keeps its own while the stack is up, so
    /// that others can be told it.
    pub(super) fn allot_ports(
        &mut self,
        kept: &BTreeMap<(ServiceName, u32, Identifier), u16>,
        busy: &BTreeSet<u16>,
        out: &mut Vec<Diagnostic>,
    ) {
        let fixed = self.services.values().flat_map(|draft| draft.outline.ports.values().filter_map(number));
        let mut taken: BTreeSet<u16> = fixed.chain(kept.values().copied()).collect();
        let mut next = self.range.all();
        for (name, draft) in &self.services {
            if !draft.outline.restarts {
                continue;
            }
            for (port, _) in draft.outline.ports.iter().filter(|(_, port)| number(port).is_none()) {
                for replica in 0..draft.outline.replicas {
                    let key = (name.clone(), replica, port.clone());
                    let free = |taken: &BTreeSet<u16>, number: &u16| !taken.contains(number) && !busy.contains(number);
                    let given = kept.get(&key).copied().or_else(|| next.find(|number| free(&taken, number)));
                    let Some(given) = given else {
                        let PortRange { first, last } = self.range;
                        out.push(
                            Diagnostic::new(
                                "no-port-left",
                                format!("no port of {first}-{last} is free for {name}-{replica}"),
                            )
                            .service(name.as_str())
                            .help("make the range larger: `ports.auto` in the profile"),
                        );
                        return;
                    };
                    taken.insert(given);
                    self.ports.insert(key, given);
                }
            }
        }
    }
}

impl core_engine::topology::Places for Drafts {
    fn span(&self, service: &ServiceName, path: &[&str]) -> Option<Span> {
        self.services.get(service).map(|draft| draft.node.span_at(path))
    }

    fn key(&self, service: &ServiceName, path: &[&str]) -> Option<Span> {
        self.services.get(service).map(|draft| draft.node.key_span_at(path))
    }
}

fn number(port: &Port) -> Option<u16> {
    match port.port {
        PortNumber::Fixed(number) => Some(number),
        PortNumber::Word(_) => None,
    }
}

fn read_tree(file: &Arc<SourceFile>, patch: Option<&Node>, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut node = tree::parse(file, out)?;
    if !matches!(node.value, Value::Object(_)) {
        out.push(
            Diagnostic::new("wrong-type", format!("a manifest is an object, this is {}", node.kind()))
                .at(node.span.clone())
                .help("write `{ … }`"),
        );
        return None;
    }
    if let Some(patch) = patch {
        tree::merge(&mut node, patch);
    }
    Some(node)
}

/// A binary with one source may have that source's keys itself: `{"name": "x", "source": "go-build", "path": …}`.
fn desugar(node: &mut Node) {
    let Some(Node { value: Value::Array(binaries), .. }) = node.get_mut("binaries") else { return };
    for binary in binaries {
        if binary.get("source").is_none() || binary.get("sources").is_some() {
            continue;
        }
        let span = binary.span.clone();
        let Value::Object(entries) = &mut binary.value else { continue };
        let (own, of_source): (Vec<_>, Vec<_>) = entries.drain(..).partition(|(key, _)| key.name == "name");
        let source = Node { value: Value::Object(of_source), span: span.clone() };
        let list = Node { value: Value::Array(vec![source]), span: span.clone() };
        *entries = own;
        entries.push((Key { name: "sources".into(), span }, list));
    }
}

impl Draft {
    /// The binaries that the text names, whether or not they make sense.
    pub(super) fn named_binaries(&self) -> impl Iterator<Item = &str> {
        let all = self.node.get("binaries").map(Node::elements).unwrap_or_default();
        all.iter().filter_map(|binary| binary.get("name")?.text())
    }
}

/// Whether the readiness probe can only be answered by one instance; told from the text, before it is resolved.
fn has_own_probe(compose: Option<&Node>) -> bool {
    let Some(compose) = compose else { return false };
    let probe = compose.get("readiness_probe");
    let exec = probe.is_some_and(|probe| probe.get("exec").is_some());
    let url = probe.and_then(|probe| probe.get("http_get")?.get("url")?.text());
    let own_socket =
        url.is_some_and(|url| url.starts_with("http+unix://") && (url.contains("${run}") || url.contains("$<run>")));
    exec || own_socket || compose.get("ready_log_line").is_some()
}

fn parse_range(text: &str) -> Result<PortRange, String> {
    let wrong = || format!("is \"{text}\", expected two ports: \"first-last\"");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let range = PortRange { first: number(first)?, last: number(last)? };
    if range.first <= range.last { Ok(range) } else { Err(format!("is \"{text}\", which has no port in it")) }
}
