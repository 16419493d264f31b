//! Lets drivers fill in the rest of manifests, before they are resolved.

use std::collections::BTreeMap;

use core_manifest::manifest::config::Mode;
use core_manifest::manifest::{Config, Kind};
use core_manifest::schema::Shape;
use core_manifest::tree::Node;
use core_manifest::{Diagnostic, ServiceName};

use crate::draft::{Draft, Drafts};
use crate::sources::{Apps, Sources};
use crate::{defaults, drivers};

/// The parts of a manifest that decide what is filled in.
const FIRST: [&str; 2] = ["kind", "config"];

impl Drafts {
    /// Lets drivers fill in what manifests leave out.
    pub(crate) fn fill_in(
        &mut self,
        patches: &BTreeMap<ServiceName, Node>,
        sources: &Sources,
        apps: &dyn Apps,
        out: &mut Vec<Diagnostic>,
    ) {
        let (scope, shape) = (self.first_scope(sources), Shape::of_manifest());
        // Errors in these parts are reported when they are resolved for good.
        let firsts: BTreeMap<ServiceName, (Kind, Config, Mode)> = self
            .services
            .iter()
            .map(|(name, draft)| {
                let resolved = |key: &str| {
                    let mut part = draft.node.get(key)?.clone();
                    scope.resolve(&mut part, &shape.start().key(key), &mut Vec::new());
                    Some(part)
                };
                let [kind, config] = FIRST.map(resolved);
                let kind =
                    kind.map_or(Kind::default(), |kind| serde_json::from_value(kind.to_json()).unwrap_or_default());
                let config: Config =
                    config.and_then(|config| serde_json::from_value(config.to_json()).ok()).unwrap_or_default();
                let mode = config.mode.unwrap_or_else(|| Mode::of_profile(&sources.profile));
                // A manifest that says how its app is built runs what is built.
                let mode = if has_binary(&draft.node, "app") { Mode::Release } else { mode };
                (name.clone(), (kind, config, mode))
            })
            .collect();
        let has_edge = firsts.values().any(|(kind, ..)| kind.is_edge());
        let mut faulty = Vec::new();
        for (name, Draft { node, .. }) in &mut self.services {
            let (kind, config, mode) = &firsts[name];
            if !defaults::apply(node, *kind) {
                continue;
            }
            let app = match &config.app {
                Some(app) => app.clone(),
                None if !drivers::has_app(*kind) || has_binary(node, "app") => String::new(),
                None => match the_app(name, *kind, node, &apps.find()) {
                    Ok(app) => app,
                    Err(fault) => {
                        out.push(*fault);
                        faulty.push(name.clone());
                        continue;
                    }
                },
            };
            let words = drivers::words(*kind, config, &sources.profile, |file| apps.read(&app, file));
            defaults::fill_in(node, *kind, *mode, name, &app, &words, has_edge);
            // What the profile removes is not filled in again.
            if let Some(patch) = patches.get(name) {
                defaults::take_away(node, patch);
            }
        }
        for name in faulty {
            self.services.remove(&name);
            self.faulty.insert(name.to_string());
        }
    }
}

fn has_binary(node: &Node, name: &str) -> bool {
    let binaries = node.get("binaries").map(Node::elements).unwrap_or_default();
    binaries.iter().any(|binary| binary.get("name").and_then(Node::text) == Some(name))
}

/// The folder of an app that a manifest does not name: the root if that is one, else the only one below it.
fn the_app(name: &ServiceName, kind: Kind, node: &Node, apps: &[String]) -> Result<String, Box<Diagnostic>> {
    let fault = |message: String, help: String| {
        let at = node.span_at(&["kind"]);
        Box::new(Diagnostic::new("no-app", message).at(at).service(name.as_str()).help(help))
    };
    let help = |example: &str| format!("say which one: \"config\": {{\"app\": \"{example}\"}}");
    match apps {
        _ if apps.iter().any(|app| app == ".") => Ok(".".to_owned()),
        [app] => Ok(app.clone()),
        [] => Err(fault(
            format!("`{name}` has no app: no package.json below the stack's root depends on {}", kind.word()),
            help("path/of/the/app"),
        )),
        [first, ..] => Err(fault(format!("`{name}` could be any of these apps: {}", apps.join(", ")), help(first))),
    }
}
