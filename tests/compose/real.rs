//! The real process-compose, where it is on PATH.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, eventually, free_port, http, until};
use crate::file;

pub(crate) const TESTS: &[Test] = tests![the_real_program_accepts_the_file, the_stack_runs_there];

/// Whether the program is there.
pub(crate) fn is_here() -> bool {
    Command::new("process-compose").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn the_real_program_accepts_the_file() {
    let stack = file::every_feature();
    stack.ok(&["check"]);
    let mut command = Command::new("process-compose");
    command.args(["up", "--dry-run", "-f", ".core-stack/process-compose.yaml", "-L"]).arg(stack.root.join("pc.log"));
    command.current_dir(&stack.root).envs([("CORE_SECRET_API_TOKEN", "x"), ("DOMAIN", "a: 'b' \"c\" # d")]);
    let said = Said::of(command.output().expect("it runs"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("Validated 15 configured processes"), "{}{}", said.out, said.err);
}

/// A project that runs. When it goes out of sight nothing of it is left.
struct Project<'a> {
    stack: &'a Stack,
    child: Child,
}

impl<'a> Project<'a> {
    fn start(stack: &'a Stack, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("process-compose");
        command.args(["up", "-t=false", "-U", "-u", "pc.sock", "-L", "pc.log", "--keep-project", "-f"]);
        command.arg(".core-stack/process-compose.yaml").current_dir(&stack.root).envs(env.iter().copied());
        let out = fs::File::create(stack.root.join("pc.out")).expect("a file");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().expect("it runs");
        Self { stack, child }
    }

    fn ask(&self, words: &[&str]) -> Said {
        let mut command = Command::new("process-compose");
        command.args(["-U", "-u", "pc.sock", "-L", "pc-client.log"]).args(words).current_dir(&self.stack.root);
        Said::of(command.output().expect("it runs"))
    }

    fn processes(&self) -> Vec<Value> {
        serde_json::from_str(&self.ask(&["process", "list", "-o", "json"]).out).unwrap_or_default()
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- process-compose\n{}",
                fs::read_to_string(self.stack.root.join("pc.out")).unwrap_or_default()
            );
        }
        let _ = self.ask(&["down"]);
        until("it has ended", || self.child.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}

fn the_stack_runs_there() {
    let token = "it's \"q\": #1";
    let stack = Stack::new().env("PLACE", "here: 'and' there # now").env("PEM", "two\n\"lines\" $x");
    stack.secret("token", token);
    let fixed = free_port();
    stack.service(
        "server",
        &json!({"process": {"command": "python3", "args": ["-m", "http.server", "${port.http}", "--bind", "127.0.0.1", "--directory", "${run}"],
            "compose": {"readiness_probe": {"http_get": {"url": "http://127.0.0.1:${port.http}/"}, "period_seconds": 0.5}}},
            "ports": {"http": {"port": fixed}}}),
    );
    let fixture = crate::fixture::command();
    stack.service(
        "web",
        &json!({"process": {"command": fixture, "args": ["fixture", "http", "${port.http}", "--ready-after", "300"],
            "compose": {"replicas": 2, "depends_on": {"server": {"condition": "process_healthy"}, "job": {"condition": "process_completed_successfully"}},
                "readiness_probe": {"http_get": {"url": "http://127.0.0.1:${port.http}/", "body_contains": "pid "}, "period_seconds": 1}}},
            "ports": {"http": {"port": "auto"}}}),
    );
    stack.service(
        "job",
        &json!({"process": {"command": "python3", "args": ["-c", "import json, os, sys\njson.dump([dict(os.environ), sys.argv[1:]], open('said.json', 'w'))", "a $$b {{c}} \\ d", "${env.PLACE}"],
            "env": {"TOKEN": "<${secret.token}>", "PLACE_TOO": "${env.PLACE}", "PEM_TOO": "${env.PEM}'"},
            "compose": {"availability": {"restart": "no"}, "depends_on": {"tcp": {"condition": "process_healthy"}}}}}),
    );
    stack.service(
        "tcp",
        &json!({"process": {"command": fixture, "args": ["fixture", "http", "${port.tcp}"],
            "compose": {"readiness_probe": {"tcp": {"port": "${port.tcp}"}, "period_seconds": 1}}},
            "ports": {"tcp": {"port": "auto"}}}),
    );
    stack.ok(&["check"]);
    let env = [("PLACE", "here: 'and' there # now"), ("PEM", "two\n\"lines\" $x"), ("CORE_SECRET_TOKEN", token)];
    let project = Project::start(&stack, &env);
    let ready = |processes: &[Value]| processes.iter().filter(|one| one["is_ready"] == "Ready").count();
    let processes = eventually("all are ready", || Some(project.processes()).filter(|all| ready(all) == 4));
    let job = processes.iter().find(|one| one["name"] == "job").expect("the job");
    assert_eq!((job["status"].as_str(), job["exit_code"].as_i64()), (Some("Completed"), Some(0)), "{job}");
    assert_eq!(http::get(&format!("http://127.0.0.1:{fixed}/")).map(|(status, _)| status), Some(200));
    // Every value arrived as it was.
    let said: Value =
        serde_json::from_str(&fs::read_to_string(stack.root.join("said.json")).expect("said")).expect("JSON");
    assert_eq!(said[0]["TOKEN"], format!("<{token}>"));
    assert_eq!(said[0]["PLACE_TOO"], "here: 'and' there # now");
    assert_eq!(said[0]["PEM_TOO"], "two\n\"lines\" $x'");
    assert_eq!(said[1], json!(["a $b {{c}} \\ d", "here: 'and' there # now"]));
    drop(project);
    assert!(http::get(&format!("http://127.0.0.1:{fixed}/")).is_none(), "the server is left");
}
