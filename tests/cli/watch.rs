//! `core status --watch`, on a terminal and on a pipe.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::{Stack, proc, until};
use crate::terminal::Terminal;

fn running() -> Stack {
    let stack = Stack::new();
    stack.shell("calm", "sleep 1000", json!({}));
    stack.shell("nervous", "sleep 1000", json!({"availability": {"restart": "always", "backoff_seconds": 0.01}}));
    stack.up();
    stack.until_ready();
    stack
}

#[test]
fn a_change_is_drawn_over_what_stood_there() {
    let stack = running();
    let before = stack.pid("nervous");
    let mut terminal = Terminal::start(stack.command(&["status", "--watch"]), 30, 100);
    let screen = terminal.until("both are shown", |screen| screen.contains("nervous-0@1  ready"));
    assert!(screen.contains(&before.to_string()) && screen.contains("calm-0@1"), "{screen}");
    proc::kill(before);
    let after = stack.next_pid("nervous", before).to_string();
    let screen =
        terminal.until("the new process is shown", |screen| screen.contains(&after) && screen.contains("ready"));
    assert_eq!(screen.matches("INSTANCE").count(), 1, "one table, not two:\n{screen}");
    assert!(!screen.contains(&before.to_string()), "{screen}");
    // The supervisor may die; what is shown goes on.
    stack.kill_supervisor();
    stack.ok(&["stop", "calm"]);
    let screen = terminal.until("the stop is shown", |screen| screen.contains("ended"));
    assert_eq!(screen.matches("INSTANCE").count(), 1, "{screen}");
    terminal.keys("\u{3}");
    assert_eq!(terminal.end(), Some(0), "Ctrl-C is how it ends");
    until("the cursor is back", || terminal.said().ends_with("\u{1b}[?25h"));
    assert!(terminal.said().contains("\u{1b}[?25l"), "it was hidden");
}

#[test]
fn a_small_terminal_shows_what_it_has_room_for() {
    let stack = running();
    for number in 0..9 {
        stack.shell(&format!("more{number}"), "sleep 1000", json!({}));
    }
    stack.ok(&["apply"]);
    let mut terminal = Terminal::start(stack.command(&["status", "--watch"]), 8, 40);
    let screen = terminal.until("it is cut", |screen| screen.contains("more lines"));
    assert_eq!(screen.trim_end().lines().count(), 7, "{screen}");
    terminal.keys("\u{3}");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn no_color_is_heeded_while_the_cursor_moves() {
    let stack = running();
    let mut command = stack.command(&["status", "--watch"]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(command, 30, 100);
    terminal.until("it is shown", |screen| screen.contains("calm-0@1"));
    terminal.keys("\u{3}");
    terminal.end();
    let said = terminal.said();
    assert!(said.contains("\u{1b}[K"), "{said:?}");
    let rest = said.replace("\u{1b}[K", "").replace("\u{1b}[J", "").replace("\u{1b}[?", "");
    assert!(!rest.contains("\u{1b}[0m") && !rest.contains("\u{1b}[1m") && !rest.contains("\u{1b}[32m"), "{said:?}");
}

#[test]
fn a_pipe_gets_a_block_for_each_change() {
    let stack = running();
    let mut child = stack.command(&["status", "--watch"]).stdout(Stdio::piped()).spawn().expect("core runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    // A block ends with an empty line.
    let mut block_with = |words: [&str; 2]| {
        let is_there = |line: &String| line.split_whitespace().take(2).eq(words);
        loop {
            let block: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            assert!(!block.is_empty(), "no block says {words:?}");
            assert!(!block.iter().any(|line| line.contains('\u{1b}')), "{block:#?}");
            if block.iter().any(is_there) {
                break;
            }
        }
    };
    block_with(["calm-0@1", "ready"]);
    stack.ok(&["stop", "calm"]);
    block_with(["calm-0@1", "ended"]);
    stack.ok(&["start", "calm"]);
    block_with(["calm-0@1", "ready"]);
    stack.ok(&["down"]);
    let status = child.wait().expect("it is ours");
    assert_eq!(status.code(), Some(3), "no supervisor runs any more");
}

#[test]
fn json_is_a_line_for_each_change() {
    let stack = running();
    let mut child = stack.command(&["status", "--watch", "--json"]).stdout(Stdio::piped()).spawn().expect("core runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut next = || serde_json::from_str::<Value>(&lines.next().expect("a line")).expect("JSON");
    assert_eq!(next()["state"], json!("running"));
    stack.ok(&["stop", "calm"]);
    let phase = |status: &Value| status["instances"][0]["phase"].clone();
    while phase(&next()) != json!("ended") {}
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

#[test]
fn nothing_runs_nothing_is_watched() {
    assert_eq!(Stack::new().core(&["status", "--watch"]).code, 3);
}
