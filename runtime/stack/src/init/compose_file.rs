//! Files of Docker Compose and of process-compose, as far as they name commands.

use serde_json::{Map, Value, json};

use super::{Project, Proposal, Service, escaped};

/// Keys of a service of Docker Compose that are taken over.
const TAKEN: [&str; 4] = ["command", "environment", "working_dir", "restart"];
/// Keys of a process of process-compose that `process.compose` has by the same name.
const SAME: [&str; 8] = [
    "depends_on",
    "readiness_probe",
    "liveness_probe",
    "availability",
    "shutdown",
    "disabled",
    "description",
    "is_daemon",
];

pub(super) fn look(project: &Project, services: &mut Vec<Service>, proposal: &mut Proposal) {
    if let Some((file, text)) = &project.docker_compose {
        for (name, service) in entries(file, text, "services", proposal) {
            docker(file, &name, &service, services, proposal);
        }
    }
    if let Some((file, text)) = &project.process_compose {
        for (name, process) in entries(file, text, "processes", proposal) {
            process_compose(file, &name, &process, services, proposal);
        }
    }
}

/// What stands under a key of a file of YAML.
fn entries(file: &str, text: &str, key: &str, proposal: &mut Proposal) -> Map<String, Value> {
    match yaml_serde::from_str::<Value>(text) {
        Ok(value) => value.get(key).and_then(Value::as_object).cloned().unwrap_or_default(),
        Err(error) => {
            proposal.listed.push(format!("{file}: {error}"));
            Map::new()
        }
    }
}

fn docker(file: &str, name: &str, service: &Value, services: &mut Vec<Service>, proposal: &mut Proposal) {
    let image = service.get("image").and_then(Value::as_str);
    let command = match service.get("command") {
        Some(Value::String(line)) if image.is_none() => json!({"command": escaped(line), "shell": true}),
        Some(Value::Array(words)) if image.is_none() && !words.is_empty() => {
            let words: Vec<String> = words.iter().map(|word| escaped(&text_of(word))).collect();
            json!({"command": words[0], "args": words[1..]})
        }
        _ => {
            let what = match image {
                Some(image) => format!("it is the image {image}; run the program itself, and give it a service.json"),
                None => "it is built into an image, and says no command".to_owned(),
            };
            proposal.listed.push(format!("{file}: {name}: {what}"));
            return;
        }
    };
    let mut process = command;
    if let Some(env) = environment(service.get("environment")) {
        process["env"] = env;
    }
    let left: Vec<&str> = service
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .filter(|key| !TAKEN.contains(key))
        .collect();
    if !left.is_empty() {
        proposal.listed.push(format!("{file}: {name}: not taken over: {}", left.join(", ")));
    }
    proposal.found.push(format!("{file}: {name}"));
    services.push(Service { name: name.to_owned(), manifest: json!({ "process": process }) });
}

fn process_compose(file: &str, name: &str, entry: &Value, services: &mut Vec<Service>, proposal: &mut Proposal) {
    let Some(line) = entry.get("command").and_then(Value::as_str) else {
        proposal.listed.push(format!("{file}: {name}: it says no command"));
        return;
    };
    let mut process = json!({"command": escaped(line), "shell": true});
    if let Some(env) = environment(entry.get("environment")) {
        process["env"] = env;
    }
    if let Some(folder) = entry.get("working_dir") {
        process["working_dir"] = folder.clone();
    }
    let (mut compose, mut left) = (Map::new(), Vec::new());
    for (key, value) in entry.as_object().into_iter().flatten() {
        match key.as_str() {
            "command" | "environment" | "working_dir" => {}
            key if SAME.contains(&key) => drop(compose.insert(key.to_owned(), value.clone())),
            key => left.push(key),
        }
    }
    if !compose.is_empty() {
        process["compose"] = Value::Object(compose);
    }
    if !left.is_empty() {
        proposal.listed.push(format!("{file}: {name}: not taken over: {}", left.join(", ")));
    }
    proposal.found.push(format!("{file}: {name}"));
    services.push(Service { name: name.to_owned(), manifest: json!({ "process": process }) });
}

/// Variables, as a table or as `NAME=value` each.
fn environment(value: Option<&Value>) -> Option<Value> {
    let pairs: Vec<(String, String)> = match value? {
        Value::Object(entries) => entries.iter().map(|(name, value)| (name.clone(), text_of(value))).collect(),
        Value::Array(lines) => lines
            .iter()
            .filter_map(|line| line.as_str()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        _ => return None,
    };
    let env: Map<String, Value> = pairs.into_iter().map(|(name, value)| (name, json!(escaped(&value)))).collect();
    (!env.is_empty()).then_some(Value::Object(env))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
