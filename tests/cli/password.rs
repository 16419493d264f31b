//! A password, typed on a terminal.

use serde_json::json;

use crate::common::Stack;
use crate::terminal::Terminal;

#[test]
fn a_password_is_typed_twice_and_not_shown() {
    let stack = Stack::new();
    stack.shell("web", "sleep 1000", json!({}));
    let typed = |first: &str, second: &str| {
        let mut terminal = Terminal::start(stack.command(&["auth", "add", "web", "ann"]), 24, 80);
        terminal.until("it asks", |screen| screen.contains("password: "));
        terminal.keys(&format!("{first}\r"));
        terminal.until("it asks again", |screen| screen.contains("once more: "));
        terminal.keys(&format!("{second}\r"));
        let code = terminal.end();
        (code, terminal.until("it has said all", |screen| screen.contains("web") || screen.contains("differ")))
    };
    let (code, screen) = typed("hidden-one", "hidden-two");
    assert!(code == Some(1) && screen.contains("the two passwords differ"), "{screen}");
    assert_eq!(stack.ok(&["auth", "list", "web"]).out, "");
    let (code, screen) = typed("hidden-one", "hidden-one");
    assert!(code == Some(0) && screen.contains("added: ann of web") && !screen.contains("hidden"), "{screen}");
    assert_eq!(stack.ok(&["auth", "list", "web"]).out, "ann\n");
}
