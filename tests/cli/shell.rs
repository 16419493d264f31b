//! Completion in a real bash, and the manual in a real `man`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{CORE, Stack};
use crate::help;
use crate::terminal::Terminal;

fn stack() -> Stack {
    let stack = Stack::new();
    for name in ["web", "worker", "api"] {
        stack.service(name, &json!({"process": {"command": "sleep"}}));
    }
    // What could be no service is not offered.
    stack.write("services/status/service.json", "{}");
    stack.write("services/.hidden/service.json", "{}");
    stack.write("manifests/production.json", "{}");
    stack
}

/// What bash would offer for a line, its last word being begun.
fn offers(stack: &Stack, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, count) = (words.last().expect("a word"), words.len() - 1);
    let script = format!(
        "source <('{CORE}' completions bash) || exit 9
         function=$(complete -p core | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
         COMP_WORDS=({}) COMP_CWORD={count} COMP_TYPE=9
         COMPREPLY=(); $function core '{last}' '' 2>/dev/null
         compgen -W \"${{COMPREPLY[*]}}\" -- '{last}'",
        quoted.join(" "),
    );
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &script]).current_dir(&stack.root).stdin(Stdio::null());
    let output = command.env_remove("CORE_ROOT").env_remove("CORE_PROFILE").output().expect("bash");
    assert_ne!(output.status.code(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_services() {
    let stack = stack();
    assert_eq!(offers(&stack, "core gr"), ["graph"]);
    assert_eq!(offers(&stack, "core w"), ["why", "web", "worker"]);
    assert_eq!(offers(&stack, "core restart w"), ["web", "worker"]);
    assert_eq!(offers(&stack, "core restart web w"), ["web", "worker"]);
    assert_eq!(offers(&stack, "core why a"), ["api"]);
    assert_eq!(offers(&stack, "core logs -f wo"), ["worker"]);
    assert_eq!(offers(&stack, "core status --w"), ["--watch"]);
    assert_eq!(offers(&stack, "core graph --format "), ["text", "mermaid", "dot"]);
    assert_eq!(offers(&stack, "core scale we"), ["web="]);
    assert_eq!(offers(&stack, "core web s"), ["spec"]);
    assert_eq!(offers(&stack, "core web spec --e"), ["--explain"]);
    assert_eq!(offers(&stack, "core up --profile p"), ["production"]);
    assert_eq!(
        offers(&stack, "core completions "),
        ["bash", "zsh", "fish", "--root", "--profile", "--verbose", "--help"]
    );
    let none: [&str; 0] = [];
    assert_eq!(offers(&stack, "core sup"), ["supervise"], "hidden, and offered when nothing else begins so");
    assert_eq!(offers(&stack, "core restart nobody"), none);
    // Of another stack, when it is named.
    let other = Stack::new();
    assert_eq!(offers(&other, &format!("core --root {} up a", stack.root.display())), ["api"]);
    assert_eq!(offers(&other, "core up a"), none);
}

/// As a person does it: the Tab key, on a terminal.
#[test]
fn tab_completes_in_bash() {
    let stack = stack();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).current_dir(&stack.root).env("PS1", "> ");
    command.env_remove("CORE_ROOT").env("HISTFILE", "/dev/null").env("INPUTRC", "/dev/null");
    let mut terminal = Terminal::start(command, 24, 200);
    terminal.keys(&format!("source <('{CORE}' completions bash); echo rea''dy\n"));
    terminal.until("the script was read", |screen| screen.contains("\nready"));
    terminal.keys("core rest\t");
    terminal.until("the command is completed", |screen| screen.contains("> core restart "));
    terminal.keys("wo\t");
    terminal.until("the service is completed", |screen| screen.contains("> core restart worker "));
}

/// Neither shell is on every machine; what their scripts ask is answered.
#[test]
fn zsh_and_fish_are_answered() {
    let stack = stack();
    for shell in ["zsh", "fish"] {
        let script = stack.ok(&["completions", shell]).out;
        assert!(script.contains(CORE) && script.contains("CORE_COMPLETE"), "{script}");
        let mut command = stack.command(&["--", "core", "restart", "w"]);
        let output = command.env("CORE_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "2").output().expect("core runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words, ["web", "worker"], "{shell}");
    }
    assert_eq!(stack.core(&["completions", "tcsh"]).code, 2);
}

#[test]
fn the_manual_can_be_read() {
    let stack = stack();
    let folder = stack.root.join("man/man1");
    let said = stack.ok(&["man", "man/man1"]);
    let mut pages: Vec<String> = fs::read_dir(&folder)
        .expect("the folder")
        .flatten()
        .map(|one| one.file_name().to_string_lossy().into())
        .collect();
    pages.sort();
    for page in help::commands(&stack).iter().map(|command| format!("core-{command}.1")).chain(["core.1".into()]) {
        assert!(pages.contains(&page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("supervise")), "{pages:?}");
    assert_eq!(said.out, format!("{} pages in man/man1\n", pages.len()));
    let main = fs::read_to_string(folder.join("core.1")).expect("the page");
    assert_eq!(main, stack.ok(&["man"]).out);
    for part in [".TH core 1", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH SUBCOMMANDS", "core\\-graph(1)"] {
        assert!(main.contains(part), "{part} is not in\n{main}");
    }
    for page in &pages {
        rendered(&folder.join(page));
    }
}

/// What `man` makes of a page, where it is on this machine.
fn rendered(page: &Path) {
    let mut command = Command::new("man");
    command
        .arg("--warnings=mac,char,delim,syntax,escape")
        .arg("-l")
        .arg(page)
        .env("MANWIDTH", "80")
        .env("LC_ALL", "C.UTF-8");
    let Ok(output) = command.env("MANPAGER", "cat").env("PAGER", "cat").stdin(Stdio::null()).output() else { return };
    let (text, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        eprintln!("man cannot show pages here: {complaints}");
        return;
    }
    assert!(text.contains("NAME") && text.contains("SYNOPSIS") && text.contains("OPTIONS"), "{text}");
    assert_eq!(complaints, "", "{}", page.display());
}
