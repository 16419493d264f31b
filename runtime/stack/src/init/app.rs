//! Apps of a framework that has a kind, and other programs of `package.json`.

use serde_json::{Value, json};

use super::{Project, Proposal, Service, escaped, web_service};
use crate::drivers;

pub(super) fn look(project: &Project, services: &mut Vec<Service>, proposal: &mut Proposal) {
    let package: Value =
        project.package.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if project.package.is_some() && !package.is_object() {
        proposal.listed.push("package.json: it is not valid JSON".into());
    }
    let kind = drivers::APPS.word();
    let is_at_top = project.apps.iter().any(|app| app == ".");
    // The one at the top is what the others belong to.
    let apps: Vec<&String> = project.apps.iter().filter(|app| !is_at_top || *app == ".").collect();
    for app in &apps {
        proposal.found.push(format!("an app of kind {kind} in {app}"));
        let last = app.rsplit('/').next().unwrap_or_default();
        // The only one needs no name of its own, and no folder where that is the top.
        let (name, config) = match apps.as_slice() {
            [_] if *app == "." => ("web", None),
            [_] => ("web", Some(json!({"app": app}))),
            _ => (last, Some(json!({"app": app}))),
        };
        let mut manifest = json!({ "kind": kind });
        if let Some(config) = config {
            manifest["config"] = config;
        }
        if let Some(data) = project.data.get(*app).filter(|data| !data.is_empty()) {
            let kept = format!("kept in .data/{name}, and not in its releases");
            proposal.found.push(format!("what {app} writes: {}; {kept}", data.join(", ")));
            manifest["config"]["persist"] = json!(data);
        }
        services.push(Service { name: name.to_owned(), manifest });
    }
    // A Procfile says better what runs.
    if apps.is_empty()
        && project.procfile.is_none()
        && let Some(start) = package["scripts"]["start"].as_str()
    {
        proposal.found.push(format!("package.json: `npm start` ({start})"));
        let line = format!("exec npm start # {start}");
        services.push(Service { name: "web".into(), manifest: web_service(&escaped(&line)) });
    }
}
