//! Manifests as trees with the profile applied, and what has to be known about all of them before one can be finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_engine::topology::PortRange;
use core_manifest::manifest::{Binary, Kind, Port, PortNumber, StackManifest, Strategy};
use core_manifest::named::{Folders, Lists};
use core_manifest::placeholder::Scope;
use core_manifest::schema::Shape;
use core_manifest::tree::{self, Key, Node, Value};
use core_manifest::{Diagnostic, Identifier, ServiceName, ServiceSpec, SourceFile, Span, Template, dotenv};
use core_nats::Member;

use crate::sources::{Apps, Sources};

/// The parts of a manifest that are resolved first: the other parts may refer to its binaries and ports.
const HEAD: [&str; 4] = ["kind", "config", "binaries", "ports"];
/// One manifest with the profile applied.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The tree: as written apart from the profile, and later with its placeholders replaced.
    pub node: Node,
    /// The values of its first parts. Invalid ones are left out; they are reported when the whole manifest is checked.
    pub head: Head,
    /// Errors in placeholders of these parts.
    pub faults: Vec<Diagnostic>,
}

/// The first parts of a manifest.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The kind of program.
    pub kind: Kind,
    /// The binaries of the service.
    pub binaries: Vec<Binary>,
    /// The ports of the service by name.
    pub ports: BTreeMap<Identifier, Port>,
}

/// All manifests of a stack.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    /// The manifests by service.
    pub services: BTreeMap<ServiceName, Draft>,
    /// Those of these services that are servers of one common manifest.
    pub members: BTreeMap<ServiceName, Member>,
    /// Services whose manifest is not valid; references to them are not reported as well.
    pub faulty: BTreeSet<String>,
    /// Services that the profile leaves out.
    pub left_out: BTreeSet<ServiceName>,
    /// Variables of `.env` that are not set in the environment.
    pub dotenv: BTreeMap<String, String>,
    /// Variables of the profile.
    pub profile_env: BTreeMap<String, Template>,
    /// Ports given to auto ports by name, per slot.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Ports that other services may refer to, by service (or the manifest that stands for several) and name.
    pub told: BTreeMap<(String, Identifier), u16>,
    /// The range that auto ports are taken from.
    pub range: PortRange,
    /// Whether edits are applied as they are saved.
    pub watch: bool,
    /// Files with one entry a line that manifests name.
    pub lists: Lists,
    /// The files of folders that manifests name.
    pub folders: Folders,
}

impl Drafts {
    /// Reads the trees from texts. Errors go to `out`.
    pub fn read(sources: &Sources, apps: &dyn Apps, out: &mut Vec<Diagnostic>) -> Self {
        let mut drafts = Self { watch: true, ..Self::default() };
        (drafts.lists, drafts.folders) = (sources.lists.clone(), sources.folders.clone());
        if let Some(file) = &sources.dotenv {
            let mut all = dotenv::parse(file, out);
            // The environment of `core up` takes precedence over the file.
            all.retain(|name, _| !sources.env.contains_key(name));
            drafts.dotenv = all;
        }
        let mut patches = drafts.read_stack(sources, out);
        let mut patched = BTreeMap::new();
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
                    patched.extend(patch.map(|(_, patch)| (name.clone(), patch)));
                    drafts.services.insert(name, Draft { node, head: Head::default(), faults: Vec::new() });
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
                Diagnostic::new("unknown-service", format!("the profile changes `{name}`, which does not exist"))
                    .at(key.span)
                    .help_opt(guess.or_else(|| Some(format!("add services/{name}/service.json, or take this out")))),
            );
        }
        drafts.fill_in(&patched, sources, apps, out);
        drafts.resolve_heads(sources);
        drafts.put_members(sources, out);
        drafts.put_trials(&sources.trials);
        drafts
    }

    /// Reads the profile. Returns its changes to services.
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
        let texts = node.get("env").map(Node::entries).unwrap_or_default();
        let made_of = |node: &Node| node.made_of.clone().or_else(|| Some(Template::literal(node.text()?)));
        self.profile_env = texts.iter().filter_map(|(key, node)| Some((key.name.clone(), made_of(node)?))).collect();
        patches
    }

    /// The files and folders with certificates that edges name.
    pub fn certificates(&self) -> BTreeMap<ServiceName, Vec<String>> {
        let edges = self.services.iter().filter(|(_, draft)| draft.head.kind.is_edge());
        let of = |draft: &Draft| {
            let named = draft.node.get("config")?.get("certificates")?;
            Some(named.elements().iter().filter_map(Node::text).map(str::to_owned).collect())
        };
        edges.filter_map(|(name, draft)| Some((name.clone(), of(draft)?))).collect()
    }

    /// The variables that `${env.X}` can refer to.
    pub fn env(&self, sources: &Sources) -> BTreeMap<String, String> {
        let mut env = self.dotenv.clone();
        env.extend(sources.env.clone());
        let profile = self.profile_env.iter();
        env.extend(profile.filter_map(|(name, text)| Some((name.clone(), text.known_text()?))));
        env
    }

    /// The values that are known before a manifest is resolved.
    pub(crate) fn first_scope(&self, sources: &Sources) -> Scope {
        Scope {
            root: sources.root.clone(),
            edge: sources.edge.clone(),
            env: self.env(sources),
            profile_env: self.profile_env.clone(),
            secrets: sources.secrets.clone(),
            ..Scope::default()
        }
    }

    /// Resolves the first parts of all manifests in place, and reads them.
    fn resolve_heads(&mut self, sources: &Sources) {
        let shape = Shape::of_manifest();
        let scope = self.first_scope(sources);
        for Draft { node, head, faults } in self.services.values_mut() {
            desugar(node);
            for key in HEAD {
                if let Some(part) = node.get_mut(key) {
                    scope.resolve(part, &shape.start().key(key), faults);
                }
            }
            *head = Head::of(node);
        }
    }

    /// Gives numbers to the auto ports of services that are updated by restart: each slot keeps its ports while the
    /// stack is up, so that others can refer to them. `kept` are ports given before, `busy` those a process listens on.
    pub(crate) fn allot_ports(
        &mut self,
        specs: &BTreeMap<ServiceName, ServiceSpec>,
        kept: &BTreeMap<(ServiceName, u32, Identifier), u16>,
        busy: &BTreeSet<u16>,
        out: &mut Vec<Diagnostic>,
    ) {
        let fixed = self.services.values().flat_map(|draft| draft.head.ports.values().filter_map(number));
        let mut taken: BTreeSet<u16> = fixed.chain(kept.values().copied()).collect();
        let mut next = self.range.all();
        for (name, spec) in specs.iter().filter(|(_, spec)| spec.update.strategy == Strategy::Restart) {
            for (port, _) in spec.ports.iter().filter(|(_, port)| port.number.is_none()) {
                for replica in 0..spec.replicas {
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

/// The number of a port, if it is fixed.
pub(crate) fn number(port: &Port) -> Option<u16> {
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

/// A binary with one source may have the keys of that source itself: `{"name": "x", "source": "go-build", "path": …}`.
fn desugar(node: &mut Node) {
    let Some(Node { value: Value::Array(binaries), .. }) = node.get_mut("binaries") else { return };
    for binary in binaries {
        if binary.get("source").is_none() || binary.get("sources").is_some() {
            continue;
        }
        let span = binary.span.clone();
        let Value::Object(entries) = &mut binary.value else { continue };
        let (own, of_source): (Vec<_>, Vec<_>) = entries.drain(..).partition(|(key, _)| key.name == "name");
        let source = Node::new(Value::Object(of_source), span.clone());
        let list = Node::new(Value::Array(vec![source]), span.clone());
        *entries = own;
        entries.push((Key { name: "sources".into(), span }, list));
    }
}

impl Head {
    /// Reads the head of a manifest in which these parts are resolved.
    pub(crate) fn of(node: &Node) -> Self {
        let part = |key: &str| node.get(key).map_or(serde_json::Value::Null, Node::to_json);
        let ports: BTreeMap<String, Port> = serde_json::from_value(part("ports")).unwrap_or_default();
        let named = |(name, port): (String, Port)| Some((Identifier::new(&name).ok()?, port));
        Self {
            kind: serde_json::from_value(part("kind")).unwrap_or_default(),
            binaries: serde_json::from_value(part("binaries")).unwrap_or_default(),
            ports: ports.into_iter().filter_map(named).collect(),
        }
    }
}

impl Draft {
    /// Resolves the parts that were not resolved first.
    pub(crate) fn resolve_rest(node: &mut Node, scope: &Scope, shape: &Shape, out: &mut Vec<Diagnostic>) {
        let start = shape.start();
        let Value::Object(entries) = &mut node.value else { return };
        for (key, child) in entries.iter_mut().filter(|(key, _)| !HEAD.contains(&key.name.as_str())) {
            scope.resolve(child, &start.key(&key.name), out);
        }
    }

    /// The names of all binaries in the text, valid or not.
    pub(crate) fn named_binaries(&self) -> impl Iterator<Item = &str> {
        let all = self.node.get("binaries").map(Node::elements).unwrap_or_default();
        all.iter().filter_map(|binary| binary.get("name")?.text())
    }
}

fn parse_range(text: &str) -> Result<PortRange, String> {
    let wrong = || format!("is \"{text}\", expected two ports: \"first-last\"");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let range = PortRange { first: number(first)?, last: number(last)? };
    if range.first <= range.last { Ok(range) } else { Err(format!("is \"{text}\", which has no port in it")) }
}
