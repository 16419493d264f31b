//! `core logs`: joined, merged in time order, followed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Stack, until};
use crate::fixture;

pub(crate) const TESTS: &[Test] = tests![
    logs_that_are_deleted_are_begun_anew,
    last_words_without_a_line_end_are_followed,
    lines_are_merged_in_the_order_of_time,
    the_last_lines_are_the_last_lines,
    lines_over_segments_are_whole,
    following_shows_what_comes,
    logs_outlive_the_stack,
    old_segments_go,
];

fn lines_are_merged_in_the_order_of_time() {
    let stack = Stack::new();
    // They take turns, by files; a turn is longer than the grain of the index.
    let turns = |mine: u32| {
        format!(
            "n={mine}; while [ $n -lt 20 ]; do until [ $n = 0 ] || [ -e turn$((n-1)) ]; do sleep 0.005; done; echo turn $n; sleep 0.03; touch turn$n; n=$((n+2)); done; exec sleep 1000"
        )
    };
    stack.shell("even", &turns(0), json!({}));
    stack.shell("odd", &turns(1), json!({}));
    stack.up();
    until("all turns are over", || stack.root.join("turn19").exists());
    let said = stack.ok(&["logs", "-n", "all"]);
    let turns: Vec<&str> = said.out.lines().filter_map(|line| line.split("| ").nth(1)).collect();
    let expected: Vec<String> = (0..20).map(|number| format!("turn {number}")).collect();
    assert_eq!(turns, expected, "{}", said.out);
    assert!(said.out.lines().next().is_some_and(|line| line.starts_with("even-0")), "{}", said.out);
}

fn the_last_lines_are_the_last_lines() {
    let stack = Stack::new();
    stack.service("count", &json!({"process": {"command": fixture::command(), "args": ["fixture", "count", "5000"]}}));
    stack.up();
    until("it has said all", || stack.lines("count").len() == 5000);
    for (words, first, count) in [
        ("3", "line 0004997", 3),
        ("1", "line 0004999", 1),
        ("4999", "line 0000001", 4999),
        ("all", "line 0000000", 5000),
    ] {
        let said = stack.ok(&["logs", "-n", words, "count"]);
        let lines: Vec<&str> = said.out.lines().collect();
        assert_eq!(lines.len(), count, "-n {words}");
        assert!(lines[0].ends_with(first), "-n {words}: {}", lines[0]);
        assert!(lines[count - 1].ends_with("line 0004999"), "-n {words}");
    }
    assert_eq!(stack.ok(&["logs", "-n", "0"]).out, "");
    assert_eq!(stack.core(&["logs", "-n", "some"]).code, 2);
    assert_eq!(stack.core(&["logs", "nobody"]).code, 2);
    assert_eq!(stack.ok(&["logs", "--since", "1h"]).out.lines().count(), 5000);
    let stamped = stack.ok(&["logs", "-t", "-n", "1"]).out;
    assert!(stamped.starts_with("20") && stamped.contains('T') && stamped.contains('Z'), "{stamped}");
}

fn lines_over_segments_are_whole() {
    let stack = Stack::new();
    // 3.9 MB in segments of 1 MiB: ends of segments fall into the middle of lines.
    stack.service(
        "count",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "count", "300000"],
        "compose": {"log_configuration": {"rotation": {"max_size_mb": 1, "max_backups": 0}}}}}),
    );
    stack.up();
    until("it has ended", || stack.instance("count")["phase"] == "ended");
    let lines = stack.lines("count");
    assert_eq!(lines.len(), 300_000);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line, &format!("line {number:07}"));
    }
}

fn following_shows_what_comes() {
    let stack = Stack::new();
    stack.shell("one", "echo first; until test -e go; do sleep 0.05; done; echo second; exec sleep 1000", json!({}));
    stack.up();
    until("it has spoken", || !stack.lines("one").is_empty());
    let mut logs =
        stack.command(&["logs", "-f"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("core runs");
    let mut lines = BufReader::new(logs.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "one-0 | first");
    stack.write("go", "");
    assert_eq!(lines.next().expect("a line").expect("text"), "one-0 | second");
    // A service that comes later is followed as well.
    stack.shell("two", "echo hello >&2; exec sleep 1000", json!({}));
    stack.ok(&["apply"]);
    assert_eq!(lines.next().expect("a line").expect("text"), "two-0 ! hello");
    let _ = logs.kill();
    let _ = logs.wait();
}

fn logs_outlive_the_stack() {
    let stack = Stack::new();
    stack.shell("one", "echo round; exec sleep 1000", json!({}));
    for round in 1..=2 {
        stack.up();
        until("it has spoken", || stack.lines("one").len() >= round);
        stack.ok(&["down"]);
    }
    let said = stack.ok(&["logs"]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
}

fn old_segments_go() {
    let stack = Stack::new();
    let limits = json!({"rotation": {"max_size_mb": 1, "max_backups": 2}});
    stack.service(
        "count",
        &json!({"process": {"command": fixture::command(), "args": ["fixture", "count", "400000"],
        "compose": {"log_configuration": limits}}}),
    );
    stack.shell("flood", "exec yes a line of a flood", json!({"log_configuration": limits}));
    // A start makes two files of a block each, however little it says.
    stack.shell(
        "loop",
        "echo again; exit 1",
        json!({"log_configuration": limits, "availability": {"backoff_seconds": 0}}),
    );
    let said = stack.core(&["up", "-d", "--timeout", "10"]);
    assert_ne!(said.code, 2, "{}", said.err);
    until("it has ended", || stack.instance("count")["phase"] == "ended");
    let size = |service: &str| -> u64 {
        let folder = stack.root.join(format!(".core-stack/logs/{service}/{service}-0"));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.blocks() * 512).sum()
    };
    until("old segments are gone", || size("count") < 4 << 20);
    let lines = stack.lines("count");
    assert_eq!(lines.last().map(String::as_str), Some("line 0399999"));
    // Both go on, and are cut back again and again.
    for service in ["flood", "loop"] {
        for _ in 0..3 {
            until("it has grown", || size(service) > 3 << 20);
            until("it is cut back", || size(service) < 300 << 20);
        }
    }
}

fn logs_that_are_deleted_are_begun_anew() {
    let stack = Stack::new();
    stack.shell("one", "i=0; while true; do echo n $i; i=$((i+1)); sleep 0.02; done", json!({}));
    stack.up();
    until("it has spoken", || stack.lines("one").len() > 3);
    std::fs::remove_dir_all(stack.root.join(".core-stack/logs")).expect("deleted");
    until("it is heard again", || stack.lines("one").len() > 3);
}

fn last_words_without_a_line_end_are_followed() {
    let stack = Stack::new();
    stack.shell("one", "echo full; printf PANIC; exit 3", json!({"availability": {"restart": "no"}}));
    stack.shell("two", "exec sleep 1000", json!({}));
    stack.core(&["up", "-d", "--timeout", "5"]);
    let said = stack.root.join("followed");
    let file = std::fs::File::create(&said).expect("a file");
    let mut follow = stack.command(&["logs", "-f", "-n", "0", "one"]).stdout(file).spawn().expect("core runs");
    stack.core(&["start", "one"]);
    until("its last words are told", || std::fs::read_to_string(&said).expect("text").contains("PANIC"));
    let _ = follow.kill();
    let _ = follow.wait();
}
