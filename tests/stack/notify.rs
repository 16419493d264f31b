//! What services say of themselves, and services that fork away.

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, until};

pub(crate) const TESTS: &[Test] = tests![
    a_service_says_when_it_is_ready,
    what_was_said_outlives_supervisor_and_shim,
    nobody_else_says_that_it_is_ready,
    a_silent_watchdog_restarts,
    a_barrier_is_passed,
    a_daemon_is_followed,
    exit_on_failure_and_exit_on_end_end_the_stack,
];

/// `say(TEXT)` sends a datagram to `NOTIFY_SOCKET`.
const SAY: &str = "import os,socket,sys,time,array
a=os.environ['NOTIFY_SOCKET'].replace('@','\\0',1)
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)
def say(t): s.sendto(t.encode(),a)
def wait(f):
    while not os.path.exists(f): time.sleep(0.01)
";

fn python(stack: &Stack, name: &str, program: &str, compose: serde_json::Value) {
    let args = ["-c".to_owned(), format!("{SAY}{program}")];
    stack.service(name, &json!({"process": {"command": "python3", "args": args, "compose": compose}}));
}

fn a_service_says_when_it_is_ready() {
    let stack = Stack::new();
    python(
        &stack,
        "one",
        "say('STATUS=warming up')
wait('go')
say('READY=1\\nSTATUS=serving 3 clients')
wait('stop')
say('STOPPING=1')
time.sleep(1000)",
        json!({"readiness_probe": {"notify": true, "period_seconds": 0.1}}),
    );
    assert_eq!(stack.core(&["up", "-d", "--timeout", "1"]).code, 1);
    until("its words are shown", || stack.instance("one")["status"] == "warming up");
    let said = stack.ok(&["why", "one"]).out;
    assert!(said.contains("it has not said READY=1"), "{said}");
    stack.write("go", "");
    stack.up();
    until("its words are shown", || stack.ok(&["status"]).out.contains("serving 3 clients"));
    stack.write("stop", "");
    until("it is not ready any more", || stack.instance("one")["ready"] == false);
    assert_eq!(stack.instance("one")["restarts"], 0);
}

fn what_was_said_outlives_supervisor_and_shim() {
    let stack = Stack::new();
    python(
        &stack,
        "one",
        "say('READY=1')
wait('go')
say('STATUS=still heard')
time.sleep(1000)",
        json!({"readiness_probe": {"notify": true}}),
    );
    stack.up();
    let pid = stack.pid("one");
    stack.kill_shim("one-0@1");
    stack.kill_supervisor();
    stack.until_ready();
    assert_eq!((stack.pid("one"), stack.instance("one")["restarts"].as_u64()), (pid, Some(0)));
    stack.write("go", "");
    until("the new shim hears it", || stack.instance("one")["status"] == "still heard");
}

fn nobody_else_says_that_it_is_ready() {
    let stack = Stack::new();
    // A child of the service may speak for it, also one that has ended by the time it is heard.
    python(
        &stack,
        "one",
        "wait('go')
if os.fork()==0:
    say('READY=1')
    os._exit(0)
time.sleep(1000)",
        json!({"readiness_probe": {"notify": true}}),
    );
    assert_eq!(stack.core(&["up", "-d", "--timeout", "1"]).code, 1);
    let env = proc::env(stack.pid("one"));
    let address = env.iter().find_map(|pair| pair.strip_prefix("NOTIFY_SOCKET=")).expect("it is told where");
    let stranger = std::process::Command::new("python3")
        .args(["-c", &format!("{SAY}say('READY=1\\nSTATUS=trust me')")])
        .env("NOTIFY_SOCKET", address)
        .status();
    assert!(stranger.expect("python").success());
    // What came after it was heard; so it was heard, too.
    stack.write("go", "");
    stack.up();
    assert_eq!(stack.instance("one")["status"], json!(null));
}

fn a_silent_watchdog_restarts() {
    let stack = Stack::new();
    python(
        &stack,
        "one",
        "assert os.environ['WATCHDOG_USEC']=='2000000'
say('READY=1')
while not os.path.exists('silence'):
    say('WATCHDOG=1')
    time.sleep(0.1)
os.remove('silence')
time.sleep(1000)",
        json!({"readiness_probe": {"notify": true}, "liveness_probe": {"notify": true, "period_seconds": 2}}),
    );
    stack.up();
    let pid = stack.pid("one");
    stack.write("silence", "");
    until("it was restarted", || stack.instance("one")["restarts"] == 1);
    stack.until_ready();
    assert!(stack.pid("one") != pid);
}

/// `sd_notify_barrier`: the other end of a pipe is closed once everything before it was taken in.
fn a_barrier_is_passed() {
    let stack = Stack::new();
    python(
        &stack,
        "one",
        "say('READY=1')
r,w=os.pipe()
s.sendmsg([b'BARRIER=1'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[w]))],0,a)
os.close(w)
assert os.read(r,1)==b''
print('passed',flush=True)
time.sleep(1000)",
        json!({"readiness_probe": {"notify": true}}),
    );
    stack.up();
    until("it has passed", || stack.lines("one") == ["passed"]);
}

fn a_daemon_is_followed() {
    let stack = Stack::new();
    // Twice forked, in a session of its own, its first process gone: as daemons are.
    python(
        &stack,
        "one",
        "if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open('pid','w').write(str(os.getpid()))
time.sleep(1000)",
        json!({"is_daemon": true, "availability": {"restart": "always", "backoff_seconds": 0},
            "readiness_probe": {"exec": {"command": "test -s pid"}}}),
    );
    // `NOTIFY_SOCKET` is asked for by the program, not by what it is for.
    let manifest = stack.root.join("services/one/service.json");
    let text = std::fs::read_to_string(&manifest).expect("the manifest").replace("a=os.environ", "#");
    std::fs::write(manifest, text).expect("the manifest");
    stack.up();
    let daemon = || eventually("its number", || daemon_of(&stack));
    let first = daemon();
    until("it is what is shown", || stack.instance("one")["pid"].as_u64() == Some(u64::from(first)));
    assert!(proc::lives(first));
    std::fs::remove_file(stack.root.join("pid")).expect("the file");
    proc::kill(first);
    let second = daemon();
    until("it is what is shown", || stack.instance("one")["pid"].as_u64() == Some(u64::from(second)));
    assert_eq!(stack.instance("one")["restarts"], 1);
    let run = stack.run_folder();
    stack.ok(&["down"]);
    assert!(!proc::lives(second));
    stack.expect_nothing_left(run.as_deref());
}

fn daemon_of(stack: &Stack) -> Option<u32> {
    std::fs::read_to_string(stack.root.join("pid")).ok()?.parse().ok()
}

fn exit_on_failure_and_exit_on_end_end_the_stack() {
    for (availability, code) in
        [(json!({"restart": "exit_on_failure"}), 7), (json!({"restart": "no", "exit_on_end": true}), 7)]
    {
        let stack = Stack::new();
        stack.shell("other", "exec sleep 1000", json!({}));
        stack.shell("one", "while ! test -e go; do sleep 0.05; done; exit 7", json!({"availability": availability}));
        let mut up = stack.up_in_front();
        let run = stack.run_folder();
        stack.write("go", "");
        let ended = up.wait().expect("it ends");
        until("nothing is left", || stack.processes().is_empty());
        stack.expect_nothing_left(run.as_deref());
        assert_eq!(ended.code(), Some(code), "{availability}");
    }
}
