//! The file itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Stack, same, until};

pub(crate) const TESTS: &[Test] = tests![
    a_stack_with_every_feature_is_written_so,
    what_came_from_outside_is_not_in_the_file,
    generated_files_are_those_of_a_life_without_core,
    the_file_follows_what_was_applied,
];

/// Values that come from outside. Those of one line and those that YAML could not hold.
const OUTSIDE: [(&str, &str); 4] = [
    ("WWW", "/srv/www"),
    ("DOMAIN", "shop.example"),
    ("BASE", "http://127.0.0.1:25999/base"),
    ("ODD.NAME", "odd-value"),
];
const CERTIFICATE: &str = "-----BEGIN\nMII \"x\" $y\n-----END";
const SECRET: &str = "hunter2-and-more";
const IN_DOTENV: &str = "from-the-dotenv";

/// A stack with every feature; nothing of it has to run.
pub(crate) fn every_feature() -> Stack {
    let mut stack = Stack::new().env("PATH", &format!("/bin:{}", std::env::var("PATH").unwrap_or_default()));
    for (name, value) in OUTSIDE {
        stack = stack.env(name, value);
    }
    stack = stack.env("CERTIFICATE", CERTIFICATE);
    stack.write(".env", &format!("GREETING={IN_DOTENV}\n"));
    stack.secret("api-token", &format!("{SECRET}\n"));
    stack.write(
        "manifests/local.json",
        &json!({"ports": {"auto": "25000-25009"}, "env": {"SITE": "https://${env.DOMAIN}/"}}).to_string(),
    );
    stack.service(
        "edge",
        &json!({"kind": "caddy", "process": {"command": "caddy", "args": ["run", "--config", "${run}/caddy.json"],
            "compose": {"availability": {"restart": "always"}, "shutdown": {"timeout_seconds": 35},
                "readiness_probe": {"http_get": {"url": "http+unix://${run}/admin.sock:/config/"}}}},
            "ports": {"http": {"port": 25100, "protocol": "http", "hold": true, "address": "0.0.0.0"}}}),
    );
    stack.service(
        "web",
        &json!({"binaries": [{"name": "sh", "source": "path"}],
            "process": {"command": "${dep.sh}", "args": ["-c", "serve $0 {{x}} \\ it's $$5", "${port.http}", "${env.WWW}"],
                "env": {"REPLICA": "${replica}", "TOKEN": "Bearer ${secret.api-token}", "GREETING": "${env.GREETING}!",
                    "CERTIFICATE": "${env.CERTIFICATE}", "BRACES": "{{x}} $$y", "ODD": "${env.ODD.NAME}"},
                "umask": "027", "nice": 5, "limits": {"nofile": 4096, "core": "unlimited"},
                "compose": {"replicas": 2, "description": "serves ${env.DOMAIN}", "namespace": "front",
                    "depends_on": {"db": {"condition": "process_healthy"}, "seed": {"condition": "process_completed_successfully"},
                        "speaker": {"condition": "process_healthy"}, "worker": {}},
                    "readiness_probe": {"http_get": {"url": "http://127.0.0.1:${port.http}/health",
                        "headers": {"Authorization": "Bearer ${secret.api-token}"}}, "period_seconds": 0.25, "timeout_seconds": 1.5},
                    "liveness_probe": {"http_get": {"url": "${env.BASE}/alive", "body_contains": "it's fine"}},
                    "success_exit_codes": [3], "shutdown": {"timeout_seconds": 0.5}}},
            "ports": {"http": {"port": "auto", "protocol": "http"}},
            "route": {"port": "http", "hosts": ["${env.DOMAIN}"], "paths": ["/shop"], "strip_prefix": true,
                "rate_limit": {"per_second": 10}}}),
    );
    stack.service(
        "db",
        &json!({"process": {"command": "./db", "working_dir": "${run}", "env": {"PORT": "${port.tcp}"},
            "compose": {"readiness_probe": {"tcp": {"port": "${port.tcp}"}, "initial_delay_seconds": 0.1},
                "shutdown": {"command": "kill $PID {{x}}", "parent_only": true, "timeout_seconds": 2},
                "log_configuration": {"rotation": {"max_size_mb": 4, "max_backups": 2, "max_age_days": 7}}}},
            "ports": {"tcp": {"port": "auto"}}}),
    );
    stack.shell(
        "seed",
        "echo $HOME ${env.WWW} {{x}}\nexit 0",
        json!({"availability": {"restart": "no", "exit_on_skipped": true}, "depends_on": {"db": {"condition": "process_healthy"}}}),
    );
    stack.shell("speaker", "echo up; sleep 1000", json!({"ready_log_line": "up"}));
    stack.service(
        "worker",
        &json!({"process": {"command": "work", "args": ["--db", "127.0.0.1:${port.db.tcp}"], "env": {"PATH": "/opt/bin"},
            "compose": {"replicas": 3, "availability": {"backoff_seconds": 2.5, "max_restarts": 4},
                "readiness_probe": {"exec": {"command": "test -e $HOME"}, "failure_threshold": 100}}}}),
    );
    stack.service("off", &json!({"process": {"command": "sleep", "args": ["9"], "compose": {"disabled": true}}}));
    stack.service("waits", &json!({"process": {"command": "sleep", "compose": {"depends_on": {"off": {}}}}}));
    stack.service(
        "braces",
        &json!({"process": {"command": "work", "compose": {"replicas": 2,
            "readiness_probe": {"exec": {"command": "test -e {{x}}"}}}}}),
    );
    stack.service("daemon", &json!({"process": {"command": "daemonize", "compose": {"is_daemon": true}}}));
    stack.service(
        "teller",
        &json!({"process": {"command": "tell", "compose": {"readiness_probe": {"notify": true}, "is_dotenv_disabled": true,
            "shutdown": {"timeout_seconds": 0}}}, "ports": {"tcp": {"port": 25101, "hold": true}}}),
    );
    stack
}

/// The file of a stack.
pub(crate) fn yaml(stack: &Stack) -> String {
    fs::read_to_string(stack.root.join(".core-stack/process-compose.yaml")).unwrap_or_default()
}

fn a_stack_with_every_feature_is_written_so() {
    let stack = every_feature();
    stack.ok(&["check"]);
    let written = yaml(&stack);
    let yaml = written.replace(&stack.root.display().to_string(), "<root>").replace(CORE, "<core>");
    same!("every-feature", yaml);
    // The same stack is the same file.
    stack.ok(&["check"]);
    assert_eq!(self::yaml(&stack), written);
}

fn what_came_from_outside_is_not_in_the_file() {
    let stack = every_feature();
    // Where no variable can be looked for, in a text that nobody marked, a secret is found by what it is.
    stack.service("leak", &json!({"process": {"command": "leak", "args": [format!("--token={SECRET}")]}}));
    stack.ok(&["check"]);
    let path = stack.root.join(".core-stack/process-compose.yaml");
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    let yaml = yaml(&stack);
    let outside = OUTSIDE.iter().map(|(_, value)| *value).chain(CERTIFICATE.lines());
    for value in outside.chain([SECRET, IN_DOTENV]) {
        assert!(!yaml.contains(value), "{value} stands in the file");
    }
    for variable in
        ["${WWW}", "${DOMAIN}", "${BASE}", "${GREETING}", "${CORE_SECRET_API_TOKEN}", "${CORE_ENV_ODD_NAME}"]
    {
        assert!(yaml.contains(variable), "{variable} does not stand in the file\n{yaml}");
    }
    assert!(yaml.contains("--token=${CORE_SECRET_API_TOKEN}"), "{yaml}");
    assert!(yaml.contains("CORE_SECRET_API_TOKEN: .secrets/api-token"), "{yaml}");
}

fn generated_files_are_those_of_a_life_without_core() {
    let stack = every_feature();
    stack.ok(&["check"]);
    let file = stack.root.join(".core-stack/compose-files/edge-0/caddy.json");
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file).expect("caddy.json")).expect("caddy.json is JSON");
    let server = &config["apps"]["http"]["servers"]["edge"];
    assert_eq!(server["listen"], json!(["0.0.0.0:25100"]));
    let upstreams = config.pointer("/apps/http/servers/edge/routes/2/handle/3/upstreams");
    let dials = json!([{"dial": "127.0.0.1:25008"}, {"dial": "127.0.0.1:25009"}]);
    assert_eq!(upstreams, Some(&dials), "{server:#}");
    // What a service no longer has does not stay.
    stack.service("edge", &json!({"process": {"command": "sleep"}}));
    let mut web: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(stack.root.join("services/web/service.json")).expect("the manifest"))
            .expect("JSON");
    web["route"] = serde_json::Value::Null;
    web.as_object_mut().expect("an object").remove("route");
    stack.service("web", &web);
    stack.ok(&["check"]);
    assert!(!stack.root.join(".core-stack/compose-files").exists());
}

fn the_file_follows_what_was_applied() {
    let stack = Stack::new();
    stack.shell("one", "exec sleep 1000", json!({}));
    stack.up();
    until("the first is there", || yaml(&stack).contains("\n  one:\n"));
    stack.shell("two", "exec sleep 1000", json!({}));
    // What is only checked is not applied.
    stack.ok(&["check"]);
    assert!(!yaml(&stack).contains("\n  two:\n"));
    stack.ok(&["apply"]);
    until("the second is there", || yaml(&stack).contains("\n  two:\n"));
    // A broken manifest leaves it as it is.
    stack.write("services/two/service.json", "{");
    assert_eq!(stack.core(&["apply"]).code, 2);
    assert!(yaml(&stack).contains("\n  two:\n"));
    stack.ok(&["down"]);
}
