//! What was released stays spoken: the bytes of every message of both lines, and the files of a run folder, as the
//! first released build wrote them, are read by this one; and what this one writes begins with the same bytes, so that
//! the older one reads it.
//!
//! `golden/wire` has one message a line, in hexadecimal digits. A line that stands there is never changed; a message
//! that is new gets a line at the end, from what `WRITE=1 cargo test -p core-shim --test golden` prints.

#![allow(clippy::disallowed_macros, clippy::print_stdout, reason = "a test")]

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use core_shim::record::{Ended, Invocation, Notified};
use core_shim::wire::{
    FileToWrite, Identity, KeeperReport, KeeperRequest, Life, LogPlace, Report, Request, Scope, Start,
};

/// One message: its name, how it is written today, and how bytes of it are read.
struct Message {
    name: &'static str,
    bytes: Vec<u8>,
    /// What it says.
    text: String,
    /// What is read from bytes, as text.
    read: fn(&[u8]) -> String,
    /// It stands in a frame, whose head is its length.
    framed: bool,
}

fn shown<T: Debug, E: Debug>(read: &Result<Option<T>, E>) -> String {
    format!("{read:?}")
}

fn said<T: Debug>(message: T) -> String {
    shown(&Ok::<_, ()>(Some(message)))
}

fn request(name: &'static str, message: Request) -> Message {
    let read = |bytes: &[u8]| shown(&Request::decode(bytes[5], &bytes[6..]));
    Message { name, bytes: message.encode(), text: said(message), read, framed: true }
}

fn report(name: &'static str, message: Report) -> Message {
    let read = |bytes: &[u8]| shown(&Report::decode(bytes[5], &bytes[6..]));
    Message { name, bytes: message.encode(), text: said(message), read, framed: true }
}

fn to_keeper(name: &'static str, message: KeeperRequest) -> Message {
    let read = |bytes: &[u8]| shown(&KeeperRequest::decode(bytes));
    Message { name, bytes: message.encode(), text: said(message), read, framed: false }
}

fn from_keeper(name: &'static str, message: KeeperReport) -> Message {
    let read = |bytes: &[u8]| shown(&KeeperReport::decode(bytes));
    Message { name, bytes: message.encode(), text: said(message), read, framed: false }
}

fn start() -> Start {
    Start {
        number: 3,
        mark: "4f77219c9619e4c5676cad2ef3638800".into(),
        program: b"/bin/web".to_vec(),
        args: vec![b"web".to_vec(), b"\xff".to_vec()],
        env: vec![b"A=1".to_vec(), b"CORE_INSTANCE=4f77".to_vec()],
        cwd: b"/srv".to_vec(),
        identity: Identity {
            user: Some((33, 34, vec![35])),
            umask: Some(0o27),
            limits: vec![(7, u64::MAX)],
            nice: Some(-5),
            oom_score_adj: Some(100),
        },
        sockets: vec!["http".into()],
        log: LogPlace { folder: b"/logs/web/web-0".to_vec(), prefix: "7.3".into(), segment_bytes: 16 << 20 },
        files: vec![FileToWrite { path: b"a/b".to_vec(), contents: b"{}".to_vec() }],
        note: "{\"ports\":{}}".into(),
        notifies: true,
        is_daemon: true,
        writable: Vec::new(),
    }
}

/// Every message, each kind with each of its forms.
fn messages() -> Vec<Message> {
    vec![
        request("start", Request::Start(Box::new(start()))),
        request("signal-leader", Request::Signal { number: 3, signal: 15, scope: Scope::Leader }),
        request("signal-group", Request::Signal { number: 3, signal: 15, scope: Scope::Group }),
        request("signal-tree", Request::Signal { number: 3, signal: 2, scope: Scope::Tree }),
        request("kill", Request::Kill { number: 3 }),
        request("release", Request::Release),
        request("log-limit", Request::LogLimit { segment_bytes: 1 << 20 }),
        request("sockets", Request::Sockets),
        request(
            "adopt",
            Request::Adopt {
                sockets: vec!["http".into(), "https".into()],
                number: 0,
                log: LogPlace::default(),
                leader: 0,
            },
        ),
        request(
            "adopt-unrecorded",
            Request::Adopt { sockets: vec!["http".into()], number: 3, log: start().log, leader: 4243 },
        ),
        request("signal-outside-group", Request::Signal { number: 3, signal: 15, scope: Scope::OutsideGroup }),
        report(
            "hello-running",
            Report::Hello {
                instance: "web-0@7".into(),
                shim: 4242,
                number: 3,
                note: "{\"ports\":{}}".into(),
                life: Life::Running { pid: 4243 },
                sockets: vec!["http".into()],
            },
        ),
        report(
            "hello-idle",
            Report::Hello {
                instance: "web-0@7".into(),
                shim: 4242,
                number: 0,
                note: String::new(),
                life: Life::Idle,
                sockets: Vec::new(),
            },
        ),
        report("started", Report::Started { number: 3, pid: 4243 }),
        report(
            "start-failed",
            Report::StartFailed { number: 3, stage: "exec".into(), errno: 2, detail: "/bin/web".into() },
        ),
        report("exited", Report::Exited { number: 3, status: 256, leftovers: true }),
        report("emptied", Report::Emptied { number: 3 }),
        report("dropped", Report::Dropped { bytes: 1 << 33, errno: 28 }),
        report("sockets-handed-out", Report::Sockets { names: vec!["http".into()] }),
        report("adopted", Report::Adopted { number: 3, life: Life::Exited { status: -1, leftovers: false } }),
        report("adopt-failed", Report::AdoptFailed { errno: 11, detail: "another shim".into() }),
        to_keeper("fork", KeeperRequest::Fork { instances: vec!["web-0@7".into(), "db-0@7".into()] }),
        to_keeper("answering", KeeperRequest::Answering),
        to_keeper("farewell", KeeperRequest::Farewell { code: 1 }),
        to_keeper("here", KeeperRequest::Here),
        from_keeper("fork-failed", KeeperReport::ForkFailed { instance: "web-0@7".into(), errno: 11 }),
        from_keeper("shim-died", KeeperReport::ShimDied { instance: "web-0@7".into(), pid: 4242, status: 9 }),
        from_keeper("orphan-died", KeeperReport::OrphanDied { pid: 4243, status: 0 }),
        from_keeper("forked", KeeperReport::Forked { shims: vec![("web-0@7".into(), 4242), ("db-0@7".into(), 4244)] }),
        from_keeper("shim-stopped", KeeperReport::ShimStopped { instance: "web-0@7".into(), pid: 4242 }),
        from_keeper("look", KeeperReport::Look),
    ]
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn every_message_that_was_released_is_understood() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let messages = messages();
    if std::env::var_os("WRITE").is_some() {
        for message in &messages {
            println!("{} {}", message.name, hex(&message.bytes));
        }
        return;
    }
    let text = std::fs::read_to_string(golden("wire")).unwrap();
    let mut seen = Vec::new();
    for line in text.lines() {
        let (name, digits) = line.split_once(' ').unwrap();
        let message = messages.iter().find(|message| message.name == name).unwrap();
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        assert_eq!((message.read)(&bytes), message.text, "{name}: what was written then says something else today");
        // A message grows at its end only: whoever does not know what was added skips it.
        let body = if message.framed { 4 } else { 0 };
        let today = hex(&message.bytes[body..]);
        assert!(today.starts_with(&digits[2 * body..]), "{name}: what is written today begins otherwise: {today}");
        seen.push(name);
    }
    let unseen: Vec<_> = messages.iter().map(|message| message.name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "these have no line in golden/wire: {unseen:?}");
}

#[test]
fn the_records_of_a_run_folder_are_understood() {
    let run = golden("run");
    let web = Invocation::read(&run.join("served-0@1/.core/invocation")).unwrap();
    assert_eq!((web.number, web.pid, web.start_ticks, web.pidfd_inode), (2, 16077, 59889, 16078));
    assert_eq!((web.mark.as_str(), web.segment_bytes), ("4f77219c9619e4c5676cad2ef3638800", 16 << 20));
    assert_eq!(web.note, r#"{"ports":{"http":20000},"restarts":1,"failures":1}"#);
    assert_eq!((web.log_prefix.as_str(), web.boot.as_str()), ("1.2", "6e0bd125-7ab9-41b0-86d4-3c189d630943"));
    let ended = Ended::read(&run.join("served-0@1/.core/exit")).unwrap();
    assert_eq!((ended.number, ended.status, ended.leftovers, ended.max_rss_kib), (1, 9, false, 21292));
    let said = Notified::read(&run.join("told-0@1/.core/notified")).unwrap();
    assert_eq!((said.number, said.ready, said.status.as_str()), (1, true, "well"));
}
