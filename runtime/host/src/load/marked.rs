//! The specs once more, with a mark behind every value that came from the environment, `.env` or a secret. Pure.

use std::collections::BTreeMap;

use core_manifest::schema::{Candidates, Shape};
use core_manifest::tree::{Node, Value};
use core_manifest::{Manifest, ServiceName, ServiceSpec, spec};

use super::{Draft, Drafts, Marks, Origin, Stack, finish, ports};

/// A stack in which values show where they came from.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The specs; marked are the texts that an instance is given, not what core itself goes by.
    pub specs: BTreeMap<ServiceName, ServiceSpec>,
    /// The manifests; every text is marked.
    pub manifests: BTreeMap<ServiceName, Node>,
    /// What the marks mean.
    pub marks: Marks,
}

/// Resolves a stack that was read once more. It was good, so nothing can be wrong with it now.
pub fn marked(stack: &Stack) -> Marked {
    let Origin { sources, located } = &stack.origin;
    let mut ignored = Vec::new();
    let (marks, sources, dotenv) = Marks::of(sources, &stack.drafts);
    let mut drafts = Drafts::read(&sources, &mut ignored);
    drafts.dotenv = dotenv;
    let env = drafts.env(&sources);
    let others = ports::of_all(&stack.drafts);
    let shape = Shape::of::<Manifest>();
    let mut specs = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for (name, draft) in &drafts.services {
        // What is known before everything else holds numbers, in which no mark can stand.
        let Some(plain) = stack.drafts.services.get(name) else { continue };
        let scope = finish::scope(name, plain, &sources, located, &env, &others);
        let mut node = draft.node.clone();
        Draft::resolve_rest(&mut node, &scope, &shape, &mut ignored);
        ports::fill(&mut node, &shape.start(), &stack.drafts.told);
        manifests.insert(name.clone(), node.clone());
        restore(&mut node, &plain.node, &shape.start());
        let Ok(manifest) = serde_json::from_value::<Manifest>(node.to_json()) else { continue };
        let context = finish::context(name, &scope, &drafts, located);
        if let Some(mut spec) = spec::resolve(name, &manifest, &node, &context, &mut ignored) {
            drafts.redirect(&mut spec);
            specs.insert(name.clone(), spec);
        }
    }
    let expanded = finish::expand(specs, &stack.drafts, &sources, &mut ignored).unwrap_or_default();
    Marked { specs: expanded.into_iter().map(|spec| (spec.name.clone(), spec)).collect(), manifests, marks }
}

/// Takes the marks away where core itself reads the value: numbers, words, names.
fn restore(node: &mut Node, plain: &Node, at: &Candidates<'_>) {
    match (&mut node.value, &plain.value) {
        (Value::Object(entries), Value::Object(_)) => {
            for (key, child) in entries {
                if let Some(plain) = plain.get(&key.name) {
                    restore(child, plain, &at.key(&key.name));
                }
            }
        }
        (Value::Array(elements), Value::Array(all)) => {
            for (child, plain) in elements.iter_mut().zip(all) {
                restore(child, plain, &at.element());
            }
        }
        (Value::String(_), _) if !at.is_template() => *node = plain.clone(),
        _ => {}
    }
}
