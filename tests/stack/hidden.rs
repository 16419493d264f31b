//! Five secrets, and ten variables from outside that are named like secrets: nothing that `core` prints, keeps or answers has their values.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::Stack;
use crate::common::trials::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![no_value_is_anywhere,];

/// Names and values of secrets: with quotes, with several lines, with what JSON and a shell escape.
const SECRETS: [(&str, &str); 5] = [
    ("db", "sesame-one"),
    ("quoted", "sesame-\"two\""),
    ("pem", "-----BEGIN-----\nsesame-three\n-----END-----"),
    ("slashed", "sesame\\four/$five"),
    ("spaced", "sesame six & seven"),
];
/// Variables of the shell, of `.env` and of the profile, in this order.
const VARIABLES: [(&str, &str); 13] = [
    ("API_KEY", "private-shell-1"),
    ("GITHUB_TOKEN", "private-shell-2"),
    ("dbPassword", "private-shell-3"),
    ("VAULT_PASSWD", "private-shell-4"),
    ("npm_config_auth_token", "private-shell-5"),
    ("STRIPE_SECRET", "private-dotenv-4"),
    ("SMTP_PASS", "private-dotenv-5"),
    ("AWS_CREDENTIALS", "private-dotenv-6"),
    ("SENTRY_DSN", "private-dotenv-7"),
    ("SESSION_KEY_1", "private-dotenv-8"),
    ("ADMIN_PW", "private-profile-8"),
    ("KEY2", "private-profile-9"),
    ("SIGNING_PASSPHRASE", "private-profile-10"),
];
/// Parts of the values that are in every form of them, however quoted or escaped.
const TRACES: [&str; 3] = ["sesame", "private-", "changed-value"];

fn no_value_is_anywhere() {
    let [shell, dotenv, profile] = [&VARIABLES[..5], &VARIABLES[5..10], &VARIABLES[10..]];
    let stack = shell.iter().fold(Stack::new(), |stack, (name, value)| stack.env(name, value));
    for (name, value) in SECRETS {
        stack.secret(name, value);
    }
    let lines: Vec<String> = dotenv.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    stack.write(".env", &lines.concat());
    let path = stack.root.join("manifests/local.json");
    let mut local: Value = serde_json::from_slice(&fs::read(&path).expect("the profile")).expect("JSON");
    local["env"] = profile.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    stack.write("manifests/local.json", &local.to_string());
    let mut env: serde_json::Map<String, Value> =
        SECRETS.iter().map(|(name, _)| (format!("FROM_{name}"), json!(format!("<${{secret.{name}}}>")))).collect();
    // The names of half of them say nothing, so that their text is shown, with the names of the variables in it.
    env.extend(VARIABLES.iter().enumerate().map(|(at, (name, _))| {
        let given = if at % 2 == 0 { format!("URL_{at}") } else { (*name).to_owned() };
        (given, json!(format!("x://${{env.{name}}}@y")))
    }));
    let all: Vec<String> = env.keys().map(|name| format!("${name}")).collect();
    // Printed by the probe only while it fails, so that it is in what `why` quotes of it.
    let probe = format!("test -e ready || {{ printf %s \"{}\" >&2; false; }}", all.join(" "));
    stack.shell(
        "one",
        "exec sleep 1000",
        json!({"description": "for ${env.API_KEY}", "readiness_probe": {"exec": {"command": probe}, "period_seconds": 0.1}}),
    );
    stack.edit("one", |manifest| manifest["process"]["env"] = env.into());
    stack.shell("two", "exec sleep 1000", json!({}));

    let mut shown = vec![("up, not ready".to_owned(), told(&stack, &["up", "-d", "--timeout", "1"]))];
    shown.push(("why, not ready".into(), told(&stack, &["why", "one"]) + &told(&stack, &["why", "one", "--json"])));
    stack.write("ready", "");
    stack.until_ready();
    look(&stack, "ready", &mut shown);
    stack.secret("db", "changed-value-1");
    stack.write(".env", &lines.concat().replace("private-dotenv-4", "changed-value-2"));
    look(&stack, "changed", &mut shown);
    stack.ok(&["apply"]);
    stack.ok(&["scale", "two=2"]);
    look(&stack, "applied", &mut shown);
    stack.secret("pem", "changed-value-3");
    stack.kill_supervisor();
    stack.until_ready();
    stack.edit("two", |manifest| manifest["process"]["command"] = json!("echo gone; exit 3"));
    shown.push(("a failed apply".into(), told(&stack, &["apply", "--timeout", "2"])));
    look(&stack, "failed", &mut shown);

    let named =
        shown.iter().any(|(_, text)| text.contains("${secret.pem}") && text.contains("x://${env.SENTRY_DSN}@y"));
    assert!(named, "the names are shown");
    for (what, text) in &shown {
        // What is written in a manifest or a profile stands there, and is in the two files that a stack runs from.
        let is_run_from = ["state.json", "process-compose.yaml"].iter().any(|file| what.contains(file));
        let text = if is_run_from { &text.replace("private-profile", "") } else { text };
        for trace in TRACES {
            let at = text.lines().find(|line| line.contains(trace));
            assert_eq!(at, None, "{trace} in {what}");
        }
    }
}

/// Everything that shows the stack now.
fn look(stack: &Stack, when: &str, shown: &mut Vec<(String, String)>) {
    let run = stack.run_folder().expect("a run folder");
    for path in ["status", "why/one", "graph", "plan", "history", "logs"] {
        shown.push((format!("{when}: API {path}"), answer(&run.join("core.sock"), path)));
    }
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["status", "--wide"],
        &["one", "spec"],
        &["one", "spec", "--explain"],
        &["one", "command"],
        &["plan"],
        &["plan", "--json"],
        &["check"],
        &["history"],
        &["history", "--json"],
        &["why", "one", "--json"],
        &["graph"],
        &["logs"],
        &["doctor"],
    ] {
        shown.push((format!("{when}: {}", words.join(" ")), told(stack, words)));
    }
    files(&stack.root.join(".core-stack"), when, shown);
    files(&run, when, shown);
    let args = std::process::Command::new("ps").args(["-eo", "args"]).output().expect("ps").stdout;
    let root = stack.root.to_string_lossy().into_owned();
    let mine: Vec<&str> = str::from_utf8(&args).expect("text").lines().filter(|line| line.contains(&root)).collect();
    shown.push((format!("{when}: ps"), mine.join("\n")));
}

fn told(stack: &Stack, words: &[&str]) -> String {
    let said = stack.core(words);
    said.out + &said.err
}

fn files(folder: &Path, when: &str, shown: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        // Files come and go.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files(&path, when, shown);
        } else if let Some(text) = kind.is_file().then(|| fs::read(&path).ok()).flatten() {
            shown.push((format!("{when}: {}", path.display()), String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

fn answer(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    write!(stream, "GET /v1/{path} HTTP/1.1\r\nHost: core\r\nConnection: close\r\n\r\n").expect("a request");
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
    text
}
