//! The values that a driver fills in, so that a manifest only has to state what differs.
//!
//! If a manifest states what is executed (`process.command`), nothing is filled in. Otherwise each key that it leaves
//! out gets the driver's value, unless it is set to `null`. Lists are replaced as a whole, except for binaries, which
//! are merged by name. A probe with its own check, and ports of which none has one of the driver's names, are taken
//! from the manifest alone.

use std::sync::Arc;

use core_manifest::manifest::Kind;
use core_manifest::manifest::config::Mode;
use core_manifest::tree::{self, Node, Value};
use core_manifest::{ServiceName, SourceFile};

use crate::drivers;

/// Prefix for the places of filled-in values, where other values have a path.
const PLACE: &str = "kind ";
/// Keys of a probe that say what it checks.
const CHECKS: [&str; 4] = ["http_get", "tcp", "exec", "notify"];

/// Whether a file stands for the values that a driver fills in.
pub(crate) fn are_in(file: &SourceFile) -> bool {
    file.path.starts_with(PLACE)
}

/// Whether a driver fills in what this manifest leaves out.
pub(crate) fn apply(node: &Node, kind: Kind) -> bool {
    drivers::defaults(kind, Mode::Release).is_some()
        && node.get("process").and_then(|process| process.get("command")).is_none()
}

/// Fills in what a manifest leaves out. `app` is the folder of its app and `mode` what runs of it, for a kind that has
/// one; `words` are those of its app. Without an edge in the stack it gets no route.
pub(crate) fn fill_in(
    node: &mut Node,
    kind: Kind,
    mode: Mode,
    name: &ServiceName,
    app: &str,
    words: &[(&str, String)],
    has_edge: bool,
) {
    let Some(text) = drivers::defaults(kind, mode).filter(|_| apply(node, kind)) else { return };
    // At the root, `.env` is the app's: its framework reads it, by an order of its own.
    let at_root = (app == ".").to_string();
    let app = serde_json::Value::from(app).to_string();
    let text = text.replace("<name>", name.as_str()).replace("\"<app>\"", &app).replace("\"<at-root>\"", &at_root);
    let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
    let file = Arc::new(SourceFile { path: format!("{PLACE}{}", kind.word()), text });
    let mut faults = Vec::new();
    let Some(mut defaults) = tree::parse(&file, &mut faults) else { return };
    if !has_edge && let Value::Object(entries) = &mut defaults.value {
        entries.retain(|(key, _)| key.name != "route");
    }
    underlay(node, &defaults, &mut Vec::new());
}

fn underlay(node: &mut Node, defaults: &Node, path: &mut Vec<String>) {
    let (Value::Object(entries), Value::Object(filled)) = (&mut node.value, &defaults.value) else { return };
    for (key, value) in filled {
        path.push(key.name.clone());
        match entries.iter_mut().find(|(have, _)| have.name == key.name) {
            None => entries.push((key.clone(), value.clone())),
            Some((_, own)) if matches!(own.value, Value::Null) => {}
            Some((_, own)) if key.name == "binaries" => add_binaries(own, value),
            Some((_, own)) if is_whole(own, value, path) => {}
            Some((_, own)) => underlay(own, value, path),
        }
        path.pop();
    }
    entries.retain(|(_, own)| !matches!(own.value, Value::Null));
}

/// Removes what a patch has removed.
pub(crate) fn take_away(node: &mut Node, patch: &Node) {
    let Value::Object(entries) = &mut node.value else { return };
    for (key, value) in patch.entries() {
        if matches!(value.value, Value::Null) {
            entries.retain(|(have, _)| have.name != key.name);
        } else if let Some((_, own)) = entries.iter_mut().find(|(have, _)| have.name == key.name) {
            take_away(own, value);
        }
    }
}

/// Whether the manifest's own value here is complete, so that nothing is filled in.
fn is_whole(own: &Node, defaults: &Node, path: &[String]) -> bool {
    match path.last().map(String::as_str) {
        Some("readiness_probe" | "liveness_probe") => CHECKS.iter().any(|check| own.get(check).is_some()),
        Some("ports") if path.len() == 1 => defaults.entries().iter().all(|(key, _)| own.get(&key.name).is_none()),
        _ => false,
    }
}

/// Adds the binaries that the manifest does not define.
fn add_binaries(own: &mut Node, defaults: &Node) {
    let name = |binary: &Node| binary.get("name").and_then(Node::text).map(str::to_owned);
    let known: Vec<Option<String>> = own.elements().iter().map(name).collect();
    if let Value::Array(binaries) = &mut own.value {
        let missing = defaults.elements().iter().filter(|binary| !known.contains(&name(binary)));
        binaries.extend(missing.cloned());
    }
}

#[cfg(test)]
mod tests {
    use core_manifest::manifest::Config;

    use super::*;

    fn filled(kind: Kind, text: &str) -> serde_json::Value {
        let file = Arc::new(SourceFile { path: "services/x/service.json".into(), text: text.into() });
        let mut node = tree::parse(&file, &mut Vec::new()).unwrap();
        fill_in(
            &mut node,
            kind,
            Mode::Release,
            &ServiceName::new("x").unwrap(),
            "an \"app\"",
            &drivers::words(kind, &Config::default(), "production", |_| None),
            true,
        );
        node.to_json()
    }

    #[test]
    fn every_driver_says_what_it_fills_in() {
        for kind in [Kind::Caddy, Kind::Nats, Kind::Pocketbase, Kind::Next] {
            let made = filled(kind, "{}");
            assert!(made["process"]["command"].is_string() && made["ports"].is_object(), "{made}");
        }
        assert_eq!(filled(Kind::Next, "{}")["binaries"][1]["path"], "an \"app\"");
        assert_eq!(filled(Kind::Pocketbase, "{}")["process"]["args"][4], "${data}/x");
        assert_eq!(filled(Kind::Process, "{}"), serde_json::json!({}));
    }

    #[test]
    fn what_is_written_wins() {
        let own = filled(Kind::Caddy, r#"{"process": {"command": "caddy"}}"#);
        assert_eq!(own, serde_json::json!({"process": {"command": "caddy"}}));
        let args =
            filled(Kind::Nats, r#"{"process": {"args": ["-D"], "compose": {"shutdown": {"timeout_seconds": 3}}}}"#);
        assert_eq!(args["process"]["args"], serde_json::json!(["-D"]));
        assert_eq!(args["process"]["compose"]["shutdown"], serde_json::json!({"timeout_seconds": 3}));
        assert!(args["process"]["compose"]["readiness_probe"].is_object());
        let null = filled(Kind::Caddy, r#"{"process": {"compose": {"readiness_probe": null}}}"#);
        assert!(null["process"]["compose"].get("readiness_probe").is_none());
    }

    #[test]
    fn probes_ports_and_binaries_have_rules_of_their_own() {
        let probe =
            filled(Kind::Next, r#"{"process": {"compose": {"readiness_probe": {"exec": {"command": "true"}}}}}"#);
        assert_eq!(probe["process"]["compose"]["readiness_probe"], serde_json::json!({"exec": {"command": "true"}}));
        let pace = filled(Kind::Next, r#"{"process": {"compose": {"readiness_probe": {"period_seconds": 1}}}}"#);
        assert!(pace["process"]["compose"]["readiness_probe"]["tcp"].is_object());
        let ports = filled(Kind::Caddy, r#"{"ports": {"http": {"address": "0.0.0.0"}}}"#);
        assert_eq!(ports["ports"]["http"]["port"], 8080);
        let other = filled(Kind::Caddy, r#"{"ports": {"web": {"port": 80}}}"#);
        assert_eq!(other["ports"], serde_json::json!({"web": {"port": 80}}));
        let binaries = filled(Kind::Next, r#"{"binaries": [{"name": "node", "sources": [{"source": "path"}]}]}"#);
        assert_eq!(binaries["binaries"].as_array().unwrap().len(), 2);
        assert_eq!(binaries["binaries"][0]["sources"], serde_json::json!([{"source": "path"}]));
    }
}
