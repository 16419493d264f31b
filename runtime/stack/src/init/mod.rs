//! `core init`: from what a project's folder holds to the shortest manifests of it. Pure: the host reads, and writes what
//! the person agrees to.

mod app;
mod compose_file;
mod procfile;

use std::collections::BTreeMap;

use core_manifest::manifest::{Kind, StackManifest};
use core_manifest::schema::Shape;
use core_manifest::{ServiceName, editor};
use serde_json::{Map, Value, json};

/// What a project's folder holds, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The text of `package.json` at the top.
    pub package: Option<String>,
    /// Folders that hold an app of a framework that has a kind, relative; `.` for the top.
    pub apps: Vec<String>,
    /// What each of these apps writes beside itself, as far as that can be seen: paths relative to the app.
    pub data: BTreeMap<String, Vec<String>>,
    /// `Procfile`.
    pub procfile: Option<String>,
    /// `docker-compose.yml` or one of its other names: the name and the text.
    pub docker_compose: Option<(String, String)>,
    /// `process-compose.yaml` or one of its other names.
    pub process_compose: Option<(String, String)>,
    /// `.gitignore`.
    pub gitignore: Option<String>,
    /// Files of these names are there, and have no part in a stack by themselves: `Dockerfile`, …
    pub others: Vec<String>,
}

/// What `core init` would do.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// What was found, a line each.
    pub found: Vec<String>,
    /// Files to write: path and text.
    pub files: Vec<(String, String)>,
    /// Lines to add to `.gitignore`.
    pub ignored: Vec<String>,
    /// What has no counterpart, and why; nothing of it is dropped silently.
    pub listed: Vec<String>,
}

/// A service that was found.
struct Service {
    /// As the project calls it; made a name later.
    name: String,
    manifest: Value,
}

/// What belongs to `core` and the services, and not into a repository.
const IGNORED: [&str; 6] = [".core-stack/", ".dep/", ".releases/", ".data/", ".secrets/", ".env"];

/// Proposes manifests for a project.
///
/// # Errors
/// That nothing was found that could be run, and what to do then.
pub fn propose(project: &Project) -> Result<Proposal, String> {
    let mut proposal = Proposal::default();
    let mut services = Vec::new();
    app::look(project, &mut services, &mut proposal);
    procfile::look(project, &mut services, &mut proposal);
    compose_file::look(project, &mut services, &mut proposal);
    for other in &project.others {
        proposal.listed.push(format!("{other}: not used; core runs programs as they are, without images"));
    }
    if services.is_empty() {
        let seen = if proposal.listed.is_empty() { String::new() } else { format!("; {}", proposal.listed.join("; ")) };
        return Err(format!("nothing was found here that core could run{seen}"));
    }
    let mut named: BTreeMap<String, Value> = BTreeMap::new();
    for Service { name, manifest } in services {
        let name = service_name(&name);
        if named.contains_key(&name) {
            proposal.listed.push(format!("a second `{name}`: the first one counts"));
            continue;
        }
        named.insert(name, manifest);
    }
    if named.values().any(|manifest| manifest.get("route").is_some() || is_app(manifest)) {
        let edge = Kind::EDGE.word();
        named.entry(edge.to_owned()).or_insert_with(|| json!({ "kind": edge }));
    }
    for (name, manifest) in &named {
        let schema = json!("../../manifests/schema/service.schema.json");
        proposal.files.push((format!("services/{name}/service.json"), written(schema, manifest)));
    }
    let edge = named.iter().find(|(_, manifest)| manifest["kind"] == Kind::EDGE.word()).map(|(name, _)| name);
    let profiles = [("local", json!({"watch": true})), ("production", production(edge))];
    for (profile, manifest) in profiles {
        let schema = json!("schema/stack.schema.json");
        proposal.files.push((format!("manifests/{profile}.json"), written(schema, &manifest)));
    }
    for (kind, schema) in [("service", editor::schema()), ("stack", Shape::of::<StackManifest>().json().clone())] {
        proposal.files.push((format!("manifests/schema/{kind}.schema.json"), text_of(&schema)));
    }
    let known = project.gitignore.as_deref().unwrap_or_default();
    let is_known = |line: &str| known.lines().any(|have| have.trim().trim_matches('/') == line.trim_matches('/'));
    proposal.ignored = IGNORED.iter().filter(|line| !is_known(line)).map(ToString::to_string).collect();
    Ok(proposal)
}

/// On a server edits are a deliberate act, and the edge listens for everybody.
fn production(edge: Option<&String>) -> Value {
    let mut manifest = json!({"watch": false});
    if let Some(edge) = edge {
        manifest["services"] = json!({edge: {"ports": {"http": {"address": "::"}}}});
    }
    manifest
}

fn is_app(manifest: &Value) -> bool {
    let kind: Kind = serde_json::from_value(manifest["kind"].clone()).unwrap_or_default();
    crate::drivers::has_app(kind)
}

/// A manifest as a person would write it: `$schema` first.
fn written(schema: Value, manifest: &Value) -> String {
    let mut all = Map::from_iter([("$schema".to_owned(), schema)]);
    all.extend(manifest.as_object().cloned().unwrap_or_default());
    text_of(&Value::Object(all))
}

fn text_of(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A name of a service, from whatever a project calls it.
fn service_name(text: &str) -> String {
    let letters: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = letters.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
    let other = format!("app-{name}").trim_end_matches('-').to_owned();
    let fits = |name: &&str| ServiceName::new(name).is_ok();
    [name, other.as_str()].into_iter().find(fits).unwrap_or("app").to_owned()
}

/// A shell line that listens on `$PORT`, as Procfiles and `npm start` have it: it gets a port of its own, and a route.
fn web_service(line: &str) -> Value {
    json!({
        "process": {
            "command": line, "shell": true,
            "env": {"PORT": "${port.http}"},
            "compose": {"readiness_probe": {"tcp": {"port": "${port.http}"}}}
        },
        "ports": {"http": {"port": "auto", "protocol": "http"}},
        "route": {"port": "http"}
    })
}

/// A shell line. What would be a placeholder for core is one for the shell.
fn escaped(line: &str) -> String {
    line.replace("${", "$${").replace("$<", "$$<")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file<'a>(proposal: &'a Proposal, path: &str) -> &'a str {
        let found = proposal.files.iter().find(|(have, _)| have == path);
        &found.unwrap_or_else(|| panic!("{path} is not among {:?}", proposal.files)).1
    }

    #[test]
    fn an_app_gets_the_shortest_manifests() {
        let package = r#"{"name": "shop", "dependencies": {"next": "16.4.6"}}"#.to_owned();
        let project = Project {
            package: Some(package),
            apps: vec![".".into()],
            gitignore: Some("/node_modules\n.env\n".into()),
            others: vec!["Dockerfile".into()],
            ..Project::default()
        };
        let proposal = propose(&project).unwrap();
        let web: Value = serde_json::from_str(file(&proposal, "services/web/service.json")).unwrap();
        assert_eq!(web, json!({"$schema": "../../manifests/schema/service.schema.json", "kind": "next"}));
        assert!(file(&proposal, "services/caddy/service.json").contains("\"kind\": \"caddy\""));
        assert!(file(&proposal, "manifests/production.json").contains("\"address\": \"::\""));
        assert!(!proposal.ignored.contains(&".env".to_owned()) && proposal.ignored.contains(&".dep/".to_owned()));
        assert!(proposal.listed[0].starts_with("Dockerfile: not used"), "{:?}", proposal.listed);
    }

    #[test]
    fn what_an_app_writes_persists() {
        let data = [(".".to_owned(), vec!["db.sqlite".to_owned(), "uploads/".into()])].into();
        let project = Project { apps: vec![".".into()], data, ..Project::default() };
        let proposal = propose(&project).unwrap();
        let web: Value = serde_json::from_str(file(&proposal, "services/web/service.json")).unwrap();
        assert_eq!(web["config"], json!({"persist": ["db.sqlite", "uploads/"]}));
        assert!(proposal.found.iter().any(|line| line.contains(".data/web")), "{:?}", proposal.found);
    }

    #[test]
    fn a_procfile_is_shell_lines() {
        let procfile =
            "# comment\nweb: node server.js -p $PORT\nworker: while :; do echo ${HOME}; done\n\nrelease: x\n";
        let package = r#"{"scripts": {"start": "node server.js"}}"#.to_owned();
        let project = Project { procfile: Some(procfile.into()), package: Some(package), ..Project::default() };
        let proposal = propose(&project).unwrap();
        let web: Value = serde_json::from_str(file(&proposal, "services/web/service.json")).unwrap();
        assert_eq!(web["process"]["command"], "node server.js -p $PORT");
        assert_eq!(web["route"]["port"], "http");
        let worker: Value = serde_json::from_str(file(&proposal, "services/worker/service.json")).unwrap();
        assert_eq!(worker["process"]["command"], "while :; do echo $${HOME}; done");
        assert!(worker.get("ports").is_none());
        assert!(proposal.listed.iter().any(|line| line.contains("release")), "{:?}", proposal.listed);
    }

    #[test]
    fn images_are_listed_and_commands_taken() {
        let text = "services:\n  db:\n    image: postgres:16\n    ports: [\"5432:5432\"]\n  jobs:\n    command: [\"node\", \"jobs.js\"]\n    environment:\n      A: \"1\"\n    depends_on: [db]\n";
        let project = Project { docker_compose: Some(("compose.yaml".into(), text.into())), ..Project::default() };
        let proposal = propose(&project).unwrap();
        let jobs: Value = serde_json::from_str(file(&proposal, "services/jobs/service.json")).unwrap();
        assert_eq!(jobs["process"]["command"], "node");
        assert_eq!(jobs["process"]["args"], json!(["jobs.js"]));
        assert_eq!(jobs["process"]["env"], json!({"A": "1"}));
        assert!(proposal.listed.iter().any(|line| line.contains("postgres:16")), "{:?}", proposal.listed);
        assert!(proposal.listed.iter().any(|line| line.contains("depends_on")), "{:?}", proposal.listed);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let nothing = propose(&Project::default()).unwrap_err();
        assert_eq!(nothing, "nothing was found here that core could run");
    }

    #[test]
    fn names_are_made_valid() {
        for (text, name) in [("Web_App", "web-app"), ("up", "app-up"), ("web-1", "web"), ("42", "app"), ("api", "api")]
        {
            assert_eq!(service_name(text), name);
        }
    }
}
