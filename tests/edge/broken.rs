//! Ways to break an edit. In each the version that serves goes on, under load; `status` names the cause; a good edit of
//! another service is carried out; and the corrected file completes the change.

use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, free_port, proc, until};
use crate::fixture;
use crate::place::{Place, serving};
use crate::tls::internal;

pub(crate) const TESTS: &[Test] = tests![
    invalid_json,
    half_a_file,
    a_cycle,
    an_unknown_dependency,
    a_port_that_a_stranger_has,
    a_missing_program,
    one_that_exits_at_once,
    one_that_never_gets_ready,
    one_that_crashes_while_it_is_watched,
    a_stranger_on_its_port,
    a_full_disk,
    what_caddy_would_refuse,
    the_supervisor_dies_at_every_step,
];

/// How a new version is tried here.
fn update() -> Value {
    json!({"observe_seconds": 1, "ramp_seconds": 0.3, "ready_seconds": 4})
}

fn web() -> Value {
    serving(&[], update())
}

/// Two services and an edge, under load, with an edit of both.
struct Trial {
    place: Place,
    before: String,
    other: u32,
}

impl Trial {
    fn new() -> Self {
        Self::on(Stack::with_programs())
    }

    fn on(stack: Stack) -> Self {
        let place = Place::of(stack, &web());
        place.stack.service("other", &other("1"));
        place.stack.ok(&["apply"]);
        let before = place.get("/").expect("an answer").1;
        let other = place.stack.pid("other");
        Self { place, before, other }
    }

    /// Edits both; `web` as this text, `other` well. Returns when `status` names all of the causes.
    fn edit(&self, text: &str, causes: &[&str]) {
        self.place.stack.write("services/web/service.json", text);
        self.place.stack.service("other", &other("2"));
        let said = self.place.stack.core(&["apply"]);
        assert_ne!(said.code, 0, "{}{}", said.out, said.err);
        until("status names the cause", || {
            let status = self.place.stack.core(&["status", "--json"]).out;
            causes.iter().all(|cause| status.contains(cause))
        });
        assert_eq!(self.place.get("/").expect("an answer").1, self.before, "the old one serves on");
    }

    /// Corrects the file: both edits are carried out.
    fn correct(&self) {
        let mut good = web();
        good["process"]["env"] = json!({"EDIT": "good"});
        self.place.stack.service("web", &good);
        self.place.stack.ok(&["apply"]);
        until("another one serves", || {
            self.place.get("/").is_some_and(|(status, body)| status == 200 && body != self.before)
        });
        until("the other is replaced", || !proc::lives(self.other));
        self.place.stack.until_ready();
    }

    /// All of it under load: an edit that makes the manifests invalid.
    fn of_invalid(text: &str, causes: &[&str]) {
        Self::of(text, causes, |_| {});
    }

    /// The same with one that is valid: the good edit of the other service is carried out meanwhile.
    fn of_valid(text: &str, causes: &[&str]) {
        Self::of(text, causes, Self::expect_other_replaced);
    }

    fn of(text: &str, causes: &[&str], meanwhile: impl FnOnce(&Self)) {
        let trial = Self::new();
        let load = trial.place.load();
        trial.edit(text, causes);
        meanwhile(&trial);
        trial.correct();
        load.expect_none_lost();
    }

    /// Whether the good edit of the other service was carried out meanwhile: nothing is wrong with the manifests.
    fn expect_other_replaced(&self) {
        until("the other is replaced", || !proc::lives(self.other));
    }
}

fn other(version: &str) -> Value {
    json!({"process": {"command": "sleep", "args": ["1000"], "env": {"VERSION": version}}})
}

fn invalid_json() {
    Trial::of_invalid("{\"process\": }", &["services/web/service.json"]);
}

fn half_a_file() {
    let text = web().to_string();
    Trial::of_invalid(&text[..text.len() / 2], &["services/web/service.json"]);
}

fn a_cycle() {
    let mut manifest = web();
    manifest["process"]["compose"]["depends_on"] = json!({"web": {"condition": "process_started"}});
    Trial::of_invalid(&manifest.to_string(), &["web"]);
}

fn an_unknown_dependency() {
    let mut manifest = web();
    manifest["process"]["compose"]["depends_on"] = json!({"othr": {"condition": "process_started"}});
    Trial::of_invalid(&manifest.to_string(), &["othr", "did you mean `other`"]);
}

fn a_port_that_a_stranger_has() {
    let port = free_port();
    let stranger = Stranger::on(port);
    let mut manifest = web();
    manifest["ports"]["more"] = json!({"port": port});
    manifest["update"] = json!({});
    let cause = format!("port {port} is taken by process {} (", stranger.pid());
    Trial::of_valid(&manifest.to_string(), &[&cause]);
}

/// What is on the disk cannot be written: neither edit is begun before there is room.
fn a_full_disk() {
    let trial = Trial::on(Stack::with_programs().on_small_disk());
    let load = trial.place.load();
    trial.place.stack.disk().fill();
    let mut good = web();
    good["process"]["env"] = json!({"EDIT": "1"});
    trial.edit(&good.to_string(), &[".core-stack cannot be written: No space left on device"]);
    assert!(proc::lives(trial.other), "what could not be written down is not begun");
    trial.place.stack.disk().empty();
    trial.correct();
    load.expect_none_lost();
}

/// A new version that differs in its program.
fn with_program(command: &str, args: &Value) -> String {
    let mut manifest = web();
    manifest["process"]["command"] = json!(command);
    manifest["process"]["args"] = args.clone();
    manifest.to_string()
}

fn a_missing_program() {
    Trial::of_valid(
        &with_program("/no/such/program", &json!([])),
        &["/no/such/program", "the old one is still serving"],
    );
}

fn one_that_exits_at_once() {
    let args = json!(["-c", "echo the last words; exit 3"]);
    Trial::of_valid(&with_program("sh", &args), &["exited with 3", "the old one is still serving"]);
}

fn one_that_never_gets_ready() {
    Trial::of_valid(&with_program("sleep", &json!(["1000"])), &["not ready", "the old one is still serving"]);
}

fn one_that_crashes_while_it_is_watched() {
    let line = format!("{} fixture serve $PORT & sleep 1; kill -9 $!; exit 9", fixture::command());
    let mut manifest = web();
    manifest["process"] = json!({"command": "sh", "args": ["-c", line], "env": {"PORT": "${port.http}"},
        "compose": manifest["process"]["compose"]});
    // The last of the new one may be in the middle of an answer when it dies: that is no matter of the swap.
    let trial = Trial::new();
    trial.edit(&manifest.to_string(), &["the old one is still serving"]);
    trial.expect_other_replaced();
    trial.correct();
}

fn a_stranger_on_its_port() {
    let trial = Trial::new();
    let load = trial.place.load();
    let mut manifest = web();
    manifest["process"]["command"] = json!("sleep");
    manifest["process"]["args"] = json!(["1000"]);
    manifest["process"]["env"] = json!({"PORT": "${port.http}"});
    manifest["update"]["ready_seconds"] = json!(8);
    trial.place.stack.write("services/web/service.json", &manifest.to_string());
    trial.place.stack.service("other", &other("2"));
    let mut apply = trial.place.stack.command(&["apply"]).spawn().expect("core runs");
    let new_port = || {
        let status = trial.place.stack.status();
        let all = status["instances"].as_array().expect("instances").clone();
        let new = all.iter().find(|one| one["service"] == "web" && one["phase"] == "probing")?;
        u16::try_from(new["ports"]["http"].as_u64()?).ok()
    };
    let stranger = Stranger::on(crate::common::eventually("the port of the new one", new_port));
    assert_ne!(apply.wait().expect("it ends").code(), Some(0));
    let status = trial.place.stack.core(&["status", "--json"]).out;
    assert!(status.contains(&format!("process {} (", stranger.pid())), "{status}");
    assert_eq!(trial.place.get("/").expect("an answer").1, trial.before, "the old one serves on");
    trial.expect_other_replaced();
    trial.correct();
    load.expect_none_lost();
}

fn the_supervisor_dies_at_every_step() {
    let place = Place::new(&web());
    let load = place.load();
    for (number, step) in ["starting", "probing", "switched", "draining"].into_iter().enumerate() {
        let before = place.stack.pids_of("web");
        let mut manifest = web();
        manifest["process"]["env"] = json!({"EDIT": number.to_string()});
        // A while to be ready in, and one to be watched in: each step is there to be met.
        manifest["update"] = json!({"observe_seconds": 1, "ramp_seconds": 0.3, "successes": 20});
        let pointer = place.pointer();
        place.stack.service("web", &manifest);
        let mut apply = place.stack.command(&["apply"]).spawn().expect("core runs");
        // A step that went by before anybody looked was met, too: the next one is.
        until(step, || {
            let is_in = |phase: &str| place.stack.instances("web").iter().any(|one| one["phase"] == phase);
            match step {
                "switched" => place.pointer() != pointer,
                "draining" => is_in(step) || !before.iter().any(|pid| proc::lives(*pid)),
                _ => is_in(step) || place.stack.pids_of("web") != before,
            }
        });
        place.stack.kill_supervisor();
        // Its question died with the supervisor that it asked.
        let _ = apply.wait();
        place.stack.ok(&["apply"]);
        until("what ran before has ended", || !before.iter().any(|pid| proc::lives(*pid)));
        assert_eq!(place.stack.pids_of("web").len(), 1, "one of them is left");
    }
    load.expect_none_lost();
}

/// Somebody who listens where it was not asked to.
struct Stranger(Child);

impl Stranger {
    fn on(port: u16) -> Self {
        let mut command = Command::new(fixture::command());
        let child = command.args(["fixture", "serve", &port.to_string()]).spawn().expect("it runs");
        until("the stranger listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A setting that only the real program finds wrong: it is never started with it.
fn what_caddy_would_refuse() {
    let (edge, client) = internal();
    let (stack, load, pid) = (&edge.stack, edge.load(&client, "a.test"), edge.stack.pid("caddy"));
    let acme = json!({"directory": "https://localhost:1/dir", "roots": ["root.pem"]});
    stack.write("root.pem", "no certificate");
    stack.edit("caddy", |caddy| {
        let lines = json!({"email": "a@b.test", "tls": "auto", "acme": acme});
        caddy["config"] = lines;
    });
    let said = stack.core(&["apply"]);
    let message = "the edge would not start with what the manifests come to";
    assert!(said.code != 0 && said.err.contains(message) && said.err.contains("root.pem"), "{said:?}");
    assert!(said.err.contains("services/caddy/service.json:1:"), "{said:?}");
    let status = stack.status();
    assert_eq!(status["problems"][0]["code"], "edge-refuses", "{status}");
    assert_eq!(stack.pids_of("caddy"), [pid], "none was started");
    stack.edit("caddy", |caddy| caddy["config"] = json!({"tls": "internal", "headers": {"X-New": "1"}}));
    stack.ok(&["apply"]);
    until("the corrected file is carried out", || {
        client.get(&edge.address(), "a.test", "/").is_ok_and(|answer| answer.contains("X-New: 1"))
    });
    assert_eq!(stack.status()["problems"], json!([]));
    load.expect_none_lost();
    let run = stack.run_folder().expect("a run folder");
    assert!(!run.join(".rehearsal").exists(), "nothing of it is left");
}
