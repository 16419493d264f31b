//! `--help` of everything, as wide as it gets.

use serde_json::json;

use crate::common::{Stack, same};
use crate::{expect_fits, told};

/// The commands that `core --help` names.
pub(crate) fn commands(stack: &Stack) -> Vec<String> {
    let help = told(stack, &["--help"], 100);
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of commands");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn help_of_core_and_of_each_command() {
    let stack = Stack::new();
    let main = told(&stack, &["--help"], 100);
    expect_fits(&main, 100);
    same!("help", main);
    let commands = commands(&stack);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let help = told(&stack, &[&command, "--help"], 100);
        expect_fits(&help, 100);
        same!(format!("help-{command}"), help);
    }
}

/// Commands that came when services could have their names; `core service NAME` stands for `core NAME` then.
const LATER: [&str; 15] = [
    "actions-key",
    "analyze",
    "auth",
    "boot",
    "bootstrap",
    "build",
    "cache",
    "exec",
    "generate-ci",
    "maintenance",
    "previews",
    "promote",
    "service",
    "tls",
    "trust",
];

/// Every word that is a command is one that no service can have, or came later and takes no name away.
#[test]
fn commands_are_reserved_words() {
    let stack = Stack::new();
    for command in commands(&stack) {
        let is_reserved = core_manifest::name::RESERVED.contains(&command.as_str());
        assert!(is_reserved != LATER.contains(&command.as_str()), "`{command}`");
    }
    for name in LATER {
        stack.shell(name, "echo ran", json!({}));
        assert_eq!(stack.ok(&["service", name, "command"]).out, "sh -c 'echo ran'\n");
        assert_eq!(stack.ok(&["service", name, "run"]).out, "ran\n");
        assert!(stack.ok(&["service", name, "spec", "--explain"]).out.contains("process.command"));
    }
}
