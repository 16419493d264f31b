//! Crates of the stack, built by the cargo of this machine; where builds fail in their own way, a script plays it.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, until};
use crate::machine::{built, landed, notes, with_only, with_programs};
use crate::parcel::program;
use crate::server::Server;
use crate::shared::begin_up;
use crate::shelf::{expect_runs, expect_words, served, service, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_crate_is_built_once_for_the_same_inputs,
    a_crate_of_a_workspace_is_built_of_its_own_inputs,
    a_crate_that_does_not_compile_leaves_nothing,
    a_crate_without_the_program_leaves_nothing,
    without_cargo_the_next_source_is_tried,
    crates_are_below_the_root,
    down_ends_cargo,
];

/// What fails when it is needed.
const NO_CARGO: &[(&str, &str)] = &[("cargo", r#"echo "$@" >> "$NOTES"; exit 1"#)];

fn a_crate_is_built_once_for_the_same_inputs() {
    let stack = with_crate();
    stack.up();
    stack.until_says("one", "one");
    let first = built(&stack, "tool");
    assert_eq!(first.len(), 1, "{first:?}");
    expect_runs(&stack, "one", &format!("{}/tool", first[0]));
    // A build writes nothing among the sources.
    let names = || fs::read_dir(stack.root.join("tools/tool")).expect("the crate").flatten().count();
    assert_eq!(names(), 2);
    // Other inputs are another build, even when they are older than the last one: as after a copy or an unpacking.
    put_main(&stack, "two");
    let main = fs::File::options().write(true).open(stack.root.join("tools/tool/src/main.rs")).expect("the file");
    main.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("its time");
    stack.ok(&["apply"]);
    stack.until_says("one", "two");
    assert_eq!(built(&stack, "tool").len(), 2);
    stack.ok(&["down"]);
    // The same again are the first; what a build makes by the way is no input, nor is the time; and a cargo that fails
    // shows that it is not asked.
    put_main(&stack, "one");
    stack.write("tools/tool/target/release/tool", "");
    let stack = with_programs(stack, NO_CARGO);
    stack.up();
    stack.until_says("one", "one");
    let pid = stack.pid("one");
    stack.ok(&["apply"]);
    assert_eq!((stack.pid("one"), notes(&stack), built(&stack, "tool").len()), (pid, vec![], 2));
    // Nor need it be there for what has landed.
    stack.ok(&["down"]);
    let stack = with_only(stack, &[]);
    fs::remove_file(stack.root.join("programs/cargo")).expect("the program");
    stack.up();
    stack.until_says("one", "one");
}

fn a_crate_of_a_workspace_is_built_of_its_own_inputs() {
    let stack = stack();
    stack.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"tools/tool\", \"lib\", \"other\"]\n");
    let package = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n{more}")
    };
    let bin = "[[bin]]\nname = \"say\"\npath = \"src/main.rs\"\n[dependencies]\nlib = { path = \"../../lib\" }\n";
    stack.write("tools/tool/Cargo.toml", &package("tool", bin));
    stack.write("tools/tool/src/main.rs", &source("{}", ", lib::WORD"));
    stack.write("lib/Cargo.toml", &package("lib", ""));
    stack.write("lib/src/lib.rs", "pub const WORD: &str = \"one\";");
    stack.write("other/Cargo.toml", &package("other", ""));
    stack.write("other/src/lib.rs", "");
    let lock = ["lib", "other"].map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"));
    let tool = "[[package]]\nname = \"tool\"\nversion = \"1.0.0\"\ndependencies = [\n \"lib\",\n]\n";
    stack.write("Cargo.lock", &format!("version = 3\n\n{}\n{tool}", lock.join("\n")));
    let source =
        json!([{"source": "cargo-build", "path": "tools/tool", "package": "tool", "bin": "say", "profile": "dev"}]);
    stack.service("one", &service(&source));
    stack.up();
    stack.until_says("one", "one");
    let first = built(&stack, "tool");
    expect_runs(&stack, "one", &format!("{}/say", first[0]));
    // Of another member, and of the stack, nothing counts.
    stack.write("other/src/lib.rs", "pub fn other() {}");
    stack.write("README.md", "read me");
    let pid = stack.pid("one");
    stack.ok(&["apply"]);
    assert_eq!((stack.pid("one"), built(&stack, "tool")), (pid, first));
    stack.write("lib/src/lib.rs", "pub const WORD: &str = \"two\";");
    stack.ok(&["apply"]);
    stack.until_says("one", "two");
    assert_eq!(built(&stack, "tool").len(), 2);
    assert!(!stack.root.join("target").exists());
}

fn a_crate_that_does_not_compile_leaves_nothing() {
    let stack = with_crate();
    stack.up();
    let (pid, first) = (stack.pid("one"), built(&stack, "tool"));
    stack.write("tools/tool/src/main.rs", "fn main() { no_such_thing() }");
    let said = stack.core(&["apply"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["building failed", ".core-stack/logs/builds/tool-", "no_such_thing"]);
    assert_eq!((built(&stack, "tool"), stack.pid("one")), (first, pid));
    // The whole of what it said is kept.
    let logs = fs::read_dir(stack.root.join(".core-stack/logs/builds")).expect("logs").flatten();
    let texts: Vec<String> = logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    assert!(texts.iter().any(|text| text.contains("no_such_thing") && text.contains("Compiling tool")), "{texts:?}");
    put_main(&stack, "two");
    stack.ok(&["apply"]);
    stack.until_says("one", "two");
}

fn a_crate_without_the_program_leaves_nothing() {
    let stack = with_crate();
    let mut sources = crate_source();
    sources[0]["bin"] = json!("unheard-of");
    stack.service("one", &service(&sources));
    let said = stack.core(&["up", "-d"]);
    assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
    expect_words(&said.err, &["building failed", "`unheard-of`"]);
    // Nor does a cargo that makes nothing; nor one that is no program of this machine.
    stack.ok(&["down"]);
    for (script, words) in
        [("exit 0", "cargo made no program `tool`"), ("echo 'out of order' >&2; exit 7", "out of order")]
    {
        let stack = with_programs(with_crate(), &[("cargo", script)]);
        let said = stack.core(&["up", "-d"]);
        assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
        expect_words(&said.err, &[words]);
    }
}

fn without_cargo_the_next_source_is_tried() {
    let (server, stack) = (Server::new(), with_only(with_crate(), &[]));
    let mut sources = crate_source();
    sources.as_array_mut().expect("a list").push(served(&server, "/tool", &program("fetched"), "0.9"));
    stack.service("one", &service(&sources));
    stack.up();
    expect_runs(&stack, "one", "tool-0.9/tool");
    stack.service("one", &service(&crate_source()));
    let said = stack.core(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    expect_words(&said.err, &["cargo-build: there is no `cargo` in PATH"]);
}

fn crates_are_below_the_root() {
    let stack = with_crate();
    for (path, words) in [("../tool", "not below"), ("/tmp", "not below"), ("services", "no Cargo.toml")] {
        stack.service("one", &service(&json!([{"source": "cargo-build", "path": path}])));
        let said = stack.core(&["check"]);
        assert_eq!(said.code, 2, "{said:?}");
        expect_words(&said.err, &[path, words]);
    }
}

fn down_ends_cargo() {
    let script = r#"echo $$ > "$NOTES"; touch half "$TMPDIR/half"; sleep 1000"#;
    let stack = with_programs(with_crate(), &[("cargo", script)]);
    let mut up = begin_up(&stack);
    let pid = eventually("cargo runs", || notes(&stack).first()?.parse::<u32>().ok());
    until("it is shown", || stack.status()["jobs"][0]["what"] == "building");
    stack.ok(&["down"]);
    assert!(!up.wait().expect("it ends").success());
    until("cargo is gone", || !proc::lives(pid));
    assert_eq!(landed(&stack), [""; 0]);
    // Nor is the copy of the sources left.
    let kept = fs::read_dir(stack.root.join(".dep/.cache/cargo-tool")).expect("what is kept").flatten();
    assert_eq!(kept.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["lock"]);
}

fn crate_source() -> Value {
    json!([{"source": "cargo-build", "path": "tools/tool", "profile": "dev"}])
}

/// A stack with a crate of two files.
fn with_crate() -> Stack {
    let stack = stack();
    stack.write("tools/tool/Cargo.toml", "[package]\nname = \"tool\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    put_main(&stack, "one");
    stack.service("one", &service(&crate_source()));
    stack
}

fn put_main(stack: &Stack, word: &str) {
    stack.write("tools/tool/src/main.rs", &source(word, ""));
}

/// A program that says a word and stays.
fn source(word: &str, more: &str) -> String {
    format!("fn main() {{\n    println!(\"{word}\"{more});\n    loop {{ std::thread::park(); }}\n}}\n")
}
