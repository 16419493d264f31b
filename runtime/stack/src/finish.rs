//! From drafts to a topology: placeholders, the check against the schema, specs, drivers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use core_engine::Topology;
use core_engine::driver::{SecretRequest, Surroundings};
use core_engine::topology::Places as _;
use core_manifest::manifest::Source;
use core_manifest::origin::{Origin, Value};
use core_manifest::placeholder::{OwnPort, Scope};
use core_manifest::schema::Shape;
use core_manifest::spec::Context;
use core_manifest::template::Piece;
use core_manifest::{Diagnostic, Identifier, Manifest, ServiceName, ServiceSpec, Template, logins, spec};
use sha2::{Digest as _, Sha256};

use crate::draft::number;
use crate::draft::{Draft, Drafts};
use crate::located::Located;
use crate::sources::Sources;
use crate::{drivers, guards, ports, trials};

/// Finishes all services. `kept` are ports that were given before, `busy` ports that a process listens on. Errors go to
/// `out`.
pub fn finish(
    drafts: &mut Drafts,
    sources: &Sources,
    located: &Located,
    kept: &BTreeMap<(ServiceName, u32, Identifier), u16>,
    busy: &BTreeSet<u16>,
    out: &mut Vec<Diagnostic>,
) -> Option<Topology> {
    let shape = Shape::of_manifest();
    let others = ports::of_all(drafts);
    let env = drafts.env(sources);
    let names: Vec<ServiceName> = drafts.services.keys().cloned().collect();
    let mut specs = BTreeMap::new();
    for name in names {
        let Some(mut draft) = drafts.services.remove(&name) else { continue };
        let scope = scope(&name, &draft, sources, located, &env, &drafts.profile_env, &others);
        let mut said = Vec::new();
        let mut spec = finish_one(&name, &mut draft, &scope, shape, sources, drafts, located, &mut said);
        // What is wrong with the manifest of a trial was said of its service, whose name comes before.
        if !drafts.faulty.contains(name.parent().as_str()) {
            out.append(&mut said);
        }
        if let Some(spec) = spec.as_mut().filter(|_| name.is_trial()) {
            trials::adapt(spec);
        }
        drafts.services.insert(name.clone(), draft);
        match spec {
            Some(spec) => {
                specs.insert(name, spec);
            }
            None => {
                drafts.faulty.insert(name.to_string());
            }
        }
    }
    drafts.allot_ports(&specs, kept, busy, out);
    ports::tell(drafts, &mut specs, shape, out);
    for spec in specs.values_mut() {
        drafts.redirect(spec);
    }
    guards::check(&specs, drafts, out);
    // What is missing only because its own manifest is broken is not reported a second time.
    if !drafts.faulty.is_empty() {
        let faulty = drafts.faulty.clone();
        for spec in specs.values_mut() {
            let spec: &mut ServiceSpec = spec;
            spec.depends_on.retain(|other, _| !faulty.contains(other.as_str()));
        }
        let any_edge = faulty
            .iter()
            .any(|name| drafts.services.iter().any(|(have, draft)| have.as_str() == name && draft.head.kind.is_edge()));
        if any_edge {
            for spec in specs.values_mut() {
                spec.route = None;
            }
        }
    }
    let expanded = expand(specs, drafts, sources, out)?;
    Topology::build(expanded, &drafts.left_out, drafts, out)
}

fn finish_one(
    name: &ServiceName,
    draft: &mut Draft,
    scope: &Scope,
    shape: &Shape,
    sources: &Sources,
    drafts: &Drafts,
    located: &Located,
    out: &mut Vec<Diagnostic>,
) -> Option<ServiceSpec> {
    let mut faults = std::mem::take(&mut draft.faults);
    Draft::resolve_rest(&mut draft.node, scope, shape, &mut faults);
    shape.check(&draft.node, &mut faults);
    // A placeholder that could not be replaced is not reported a second time as a wrong type.
    let mut seen = Vec::new();
    faults.retain(|fault: &Diagnostic| {
        let place = fault.at.as_ref().map(|span| (span.file.path.clone(), span.start, span.end));
        let inside = |have: &(String, usize, usize)| {
            place.as_ref().is_some_and(|(file, start, end)| have.0 == *file && *start <= have.1 && have.2 <= *end)
        };
        let is_repeated = fault.code == "wrong-type" && seen.iter().any(inside);
        seen.extend(place.clone());
        !is_repeated
    });
    let complete = faults.is_empty();
    out.extend(faults.into_iter().map(|fault| fault.service(name.as_str())));
    if !complete {
        return None;
    }
    let manifest: Manifest = match serde_json::from_value(draft.node.to_json()) {
        Ok(manifest) => manifest,
        Err(error) => {
            out.push(
                Diagnostic::new("wrong-type", format!("the manifest cannot be read: {error}"))
                    .at(draft.node.span.clone())
                    .service(name.as_str()),
            );
            return None;
        }
    };
    spec::resolve(name, &manifest, &draft.node, &context(name, scope, sources, drafts, located), out)
}

/// The names that placeholders of a service may refer to.
fn scope(
    name: &ServiceName,
    draft: &Draft,
    sources: &Sources,
    located: &Located,
    env: &BTreeMap<String, String>,
    profile_env: &BTreeMap<String, Template>,
    others: &BTreeMap<String, BTreeMap<Identifier, Option<u16>>>,
) -> Scope {
    // A binary that is named but not valid was reported already; its uses are not reported as well.
    let mut deps: BTreeMap<String, String> =
        draft.named_binaries().map(|name| (name.to_owned(), name.to_owned())).collect();
    deps.extend(located.paths(name));
    Scope {
        root: sources.root.clone(),
        edge: sources.edge.clone(),
        env: env.clone(),
        profile_env: profile_env.clone(),
        secrets: sources.secrets.clone(),
        deps: Some(deps),
        // Of a development server it is a word, so that one manifest does for both modes.
        release: located.releases.get(name).cloned().or_else(|| is_dev(draft).then(|| "dev".to_owned())),
        ports: own_ports(draft),
        others: others.clone(),
        ports_known: true,
    }
}

/// The context for resolving a manifest.
fn context(name: &ServiceName, scope: &Scope, sources: &Sources, drafts: &Drafts, located: &Located) -> Context {
    Context {
        root: scope.root.clone(),
        dotenv: drafts.dotenv.clone(),
        profile_env: drafts.profile_env.clone(),
        binaries: located.of(name),
        release: located.releases.get(name).cloned(),
        profile: sources.profile.clone(),
        has_own_hosts: sources.profile == "local",
        keeps_warm: sources.profile == "production" && !sources.has_little_memory,
        certificates: sources.certificates.get(name).cloned().unwrap_or_default(),
        lists: drafts.lists.clone(),
        folders: drafts.folders.clone(),
        users: sources.secrets.get(&logins::file(name.parent().as_str())).cloned(),
    }
}

/// Lets the drivers complete the specs.
fn expand(
    specs: BTreeMap<ServiceName, ServiceSpec>,
    drafts: &Drafts,
    sources: &Sources,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<ServiceSpec>> {
    let data = format!("{}/.data", sources.root);
    let around = Surroundings {
        edge: &sources.edge,
        data: &data,
        ports: &drafts.ports,
        core: &sources.core,
        lists: &drafts.lists,
        folders: &drafts.folders,
        ..Surroundings::of(&specs)
    };
    let env = drafts.env(sources);
    let secret = |request: &SecretRequest| {
        let value = Value::known(sources.secrets.get(request.file).map(String::as_str).unwrap_or_default());
        // A variable that is set takes precedence over the file.
        let origin = match env.get(request.variable).filter(|value| !value.is_empty()) {
            Some(_) => Origin::Variable(request.variable.to_owned()),
            None => Origin::Secret(request.file.to_owned()),
        };
        Template::from_pieces([Piece::From(origin, value)])
    };
    let mut all = Vec::new();
    let mut good = true;
    for spec in specs.values().cloned() {
        // A driver does not know where the missing value belongs, so the error points at `kind`.
        let kind = drafts.span(&spec.name, &["kind"]);
        let member = drafts.members.get(&spec.name);
        let secret = drivers::secret(spec.kind, member).map_or_else(Template::default, |request| secret(&request));
        let expansion = drivers::expand(spec, member, &secret, around);
        match expansion {
            Ok(expanded) => all.extend(expanded),
            Err(faults) => {
                good = false;
                out.extend(faults.into_iter().map(|fault| {
                    let at = fault.at.clone().or_else(|| kind.clone());
                    fault.at_opt(at)
                }));
            }
        }
    }
    for spec in &mut all {
        spec.note_values(&digest);
    }
    good.then_some(all)
}

/// The digest that tells two values of a variable or a secret apart in the saved state.
fn digest(origin: &Origin, value: &str) -> String {
    let hash = Sha256::new().chain_update(origin.to_string()).chain_update([0]).chain_update(value).finalize();
    crate::hex(&hash[..8])
}

/// Whether a service runs the development server of an app.
fn is_dev(draft: &Draft) -> bool {
    let sources = draft.head.binaries.iter().flat_map(|binary| &binary.sources);
    sources.into_iter().any(|source| matches!(source, Source::NextDev { .. }))
}

fn own_ports(draft: &Draft) -> BTreeMap<Identifier, OwnPort> {
    let mut fds = 3..;
    let ports = draft.head.ports.iter().map(|(name, port)| {
        let fd = if port.is_held(draft.head.kind) { fds.next() } else { None };
        (name.clone(), OwnPort { number: number(port), fd })
    });
    ports.collect()
}
