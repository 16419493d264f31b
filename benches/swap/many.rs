//! One of two hundred: how soon an edit is planned, how soon the changed process runs, and that no other is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::common::{Stack, until};
use crate::figures::Figures;
use crate::fixture;
use crate::place::Place;
use crate::settings::Settings;

const SERVICES: usize = 200;

/// Edits one of many that are started and probed, half of them with a dependency.
pub(crate) fn take(settings: &Settings, _place: &Place, figures: &mut Figures) {
    let stack = Stack::new();
    // 200 services have more ports than a test's stack has.
    stack.write("manifests/local.json", &json!({"ports": {"auto": "30000-31999"}}).to_string());
    for number in 0..SERVICES {
        service(&stack, number, 0);
    }
    stack.ok(&["up", "-d", "--timeout", "300"]);
    let (mut planned, mut started, mut ready, mut others) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for edit in 1..=settings.rounds {
        let before = pids(&stack);
        let history = stack.root.join(".core-stack/history.jsonl");
        let seen = written(&history);
        let began = SystemTime::now();
        service(&stack, SERVICES / 2, edit);
        until("the edit is planned", || written(&history) != seen);
        planned.push(written(&history).duration_since(began).unwrap_or_default());
        until("it is ready again", || written(&stack.root.join("answered")) > began);
        let since = |name: &str| written(&stack.root.join(name)).duration_since(began).unwrap_or_default();
        started.push(since("started"));
        ready.push(since("answered"));
        stack.until_ready();
        let after = pids(&stack);
        others += before.iter().filter(|(name, pid)| after.get(*name) != Some(*pid)).count();
    }
    let replaced = format!("{others} processes replaced by {} edits", settings.rounds);
    for (what, mut spans) in
        [("planned", planned), ("the new process runs", started), ("it was asked and answered", ready)]
    {
        spans.sort();
        figures.line(&format!("edit of one of {SERVICES}: {what} after"), spans[spans.len() / 2], &replaced);
    }
}

/// One that says when it began, and when it was first asked.
fn service(stack: &Stack, number: usize, edit: u64) {
    let root = stack.root.display();
    let line = if number == SERVICES / 2 {
        format!("touch {root}/started; exec {} fixture http $PORT --touch {root}/answered", fixture::command())
    } else {
        format!("exec {} fixture http $PORT", fixture::command())
    };
    let mut compose = json!({"readiness_probe": {"http_get": {"port": "${port.http}"}, "period_seconds": 10}});
    if number % 2 == 1 {
        compose["depends_on"] = json!({format!("s{}", number - 1): {"condition": "process_healthy"}});
    }
    stack.service(
        &format!("s{number}"),
        &json!({
            "process": {"command": "sh", "args": ["-c", line], "env": {"PORT": "${port.http}", "EDIT": edit.to_string()},
                "compose": compose},
            "ports": {"http": {"port": "auto"}},
        }),
    );
}

fn pids(stack: &Stack) -> BTreeMap<String, Value> {
    let status = stack.status();
    let instances = status["instances"].as_array().expect("instances");
    instances.iter().map(|one| (one["slot"].to_string(), one["pid"].clone())).collect()
}

fn written(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
