//! `core top` on a terminal, over a log that is written meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::time::UNIX_EPOCH;

use serde_json::json;

use crate::common::{Stack, until};
use crate::terminal::Terminal;
use crate::{expect_fits, told};

/// An access log as the edge writes it.
fn log(stack: &Stack) -> File {
    let folder = stack.root.join(".data/edge/access");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("edge-0@1.log");
    OpenOptions::new().create(true).append(true).open(path).expect("a log")
}

fn answer(log: &mut File, service: &str, status: u16, count: usize) {
    let now = UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
    let line = json!({
        "ts": now, "logger": format!("http.log.access.to.{service}"), "duration": 0.0125, "size": 2048, "status": status,
        "request": {"client_ip": "192.0.2.1", "proto": "HTTP/2.0", "method": "GET", "host": "a.test", "uri": "/"},
    });
    log.write_all(format!("{line}\n").repeat(count).as_bytes()).expect("written");
}

#[test]
fn figures_are_drawn_over_those_before() {
    let stack = Stack::new();
    stack.shell("web", "sleep 1000", json!({})).shell("api", "sleep 1000", json!({}));
    let said = stack.core(&["top"]);
    assert!(said.code == 1 && said.err.contains("has not written an access log yet"), "{said:?}");
    let mut log = log(&stack);
    answer(&mut log, "web", 200, 600);
    // Ten minutes, so that nothing of it goes by meanwhile.
    let mut terminal = Terminal::start(stack.command(&["top", "--window", "600"]), 12, 60);
    let screen = terminal.until("it is shown", |screen| screen.contains("web"));
    assert!(screen.contains("12.5 ms"), "{screen}");
    answer(&mut log, "api", 503, 300);
    let screen = terminal.until("the other is, too", |screen| screen.contains("api"));
    assert!(screen.contains("100.0%") && screen.contains("33.3%") && screen.contains("total"), "{screen}");
    assert_eq!(screen.matches("SERVICE").count(), 1, "one table, not two:\n{screen}");
    terminal.keys("\u{3}");
    assert_eq!(terminal.end(), Some(0), "Ctrl-C is how it ends");
    until("the cursor is back", || terminal.said().ends_with("\u{1b}[?25h"));
    for width in [100, 44] {
        let said = told(&stack, &["top", "--window", "600"], width);
        assert!(said.contains("total"), "{said}");
        expect_fits(&said, width);
    }
    let said = told(&stack, &["logs", "--access", "-n", "1"], 100);
    assert!(said.contains(" api 503  12.5 ms  2.0 KiB 192.0.2.1       GET  a.test/\n"), "{said}");
}
