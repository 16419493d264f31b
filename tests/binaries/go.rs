//! Go programs, built by the go of this machine: of packages of the stack, and of a small module that go fetches.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, until};
use crate::machine::{built, landed, notes, with_only, with_programs};
use crate::parcel::program;
use crate::server::Server;
use crate::shelf::{expect_runs, expect_words, locked, served, service, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_go_package_is_built_once_for_the_same_inputs,
    a_go_package_that_does_not_compile_leaves_nothing,
    a_go_package_that_is_no_program_leaves_nothing,
    a_real_module_is_fetched_once,
    a_module_that_cannot_be_had_leaves_nothing,
    without_go_the_next_source_is_tried,
    a_go_build_is_of_a_path_or_of_a_module,
];

/// Small: a program that greets and ends.
const MODULE: (&str, &str) = ("golang.org/x/example/hello", "v0.0.0-20250915201037-7f05d217867b");

/// Its contents as every `go.sum` knows them, `h1:+gZE2jOdiscYByu0606Uw8Ldir2Cecd39Vq/3IEasRA=`, in hexadecimal digits.
const SUM: &str = "fa0644da339d8ac718072bb4eb4e94c3c2dd8abd8279c777f55abfdc811ab110";

fn a_go_package_is_built_once_for_the_same_inputs() {
    let stack = with_package();
    stack.up();
    stack.until_says("one", "one");
    let first = built(&stack, "tool");
    assert_eq!(first.len(), 1, "{first:?}");
    expect_runs(&stack, "one", &format!("{}/tool", first[0]));
    // Other packages of the module do not count, those that are imported do.
    let pid = stack.pid("one");
    stack.write("tools/other/main.go", "package main");
    stack.write("README.md", "read me");
    stack.ok(&["apply"]);
    assert_eq!((stack.pid("one"), built(&stack, "tool")), (pid, first));
    put_word(&stack, "two");
    stack.ok(&["apply"]);
    stack.until_says("one", "two");
    assert_eq!(built(&stack, "tool").len(), 2);
    stack.ok(&["down"]);
    // The same again are the first, and a go that fails shows that it is not asked.
    put_word(&stack, "one");
    let stack = with_programs(stack, &[("go", r#"echo "$@" >> "$NOTES"; exit 1"#)]);
    stack.up();
    stack.until_says("one", "one");
    assert_eq!((notes(&stack), built(&stack, "tool").len()), (vec![], 2));
}

fn a_go_package_that_does_not_compile_leaves_nothing() {
    let stack = with_package();
    stack.write("lib/word/word.go", "package word\n\nvar Word = noSuchThing\n");
    let said = stack.core(&["up", "-d"]);
    assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
    expect_words(&said.err, &["building failed", ".core-stack/logs/builds/tool-", "undefined: noSuchThing"]);
    put_word(&stack, "two");
    stack.ok(&["apply"]);
    stack.until_says("one", "two");
}

fn a_go_package_that_is_no_program_leaves_nothing() {
    let stack = with_package();
    stack.service("one", &service(&json!([{"source": "go-build", "path": "lib/word"}])));
    let said = stack.core(&["up", "-d"]);
    assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
    expect_words(&said.err, &["go made no program", "`main`"]);
}

fn a_real_module_is_fetched_once() {
    let stack = with_go(Stack::new());
    let (module, version) = MODULE;
    stack.service("one", &service(&of_module(module, version)));
    stack.up();
    let folder = format!("tool-{version}");
    until("it has greeted", || stack.lines("one").last().is_some_and(|line| line.contains("Hello")));
    assert_eq!(landed(&stack), ["tool", &folder]);
    let entry = locked(&stack, "tool");
    assert_eq!((entry["source"].as_str(), entry["version"].as_str()), (Some("go-build"), Some(version)), "{entry}");
    assert_eq!(entry["file"], format!("{module}@{version}"));
    assert_eq!(entry["sha256"], SUM, "{entry}");
    // From here on go is not needed.
    stack.ok(&["down"]);
    let stack = with_programs(stack, &[("go", r#"echo "$@" >> "$NOTES"; exit 1"#)]);
    stack.up();
    assert_eq!(notes(&stack), [""; 0]);
    stack.ok(&["down"]);
    // What is fetched anew must have the same contents.
    let stack = with_only(stack, &[]);
    fs::remove_file(stack.root.join("programs/go")).expect("the program");
    let go = which("go");
    std::os::unix::fs::symlink(go, stack.root.join("programs/go")).expect("a link");
    fs::remove_dir_all(stack.root.join(".dep")).expect(".dep/");
    let path = stack.root.join("manifests/dep.lock.json");
    let text = fs::read_to_string(&path).expect("the lock file");
    let right = entry["sha256"].as_str().expect("a hash");
    fs::write(&path, text.replace(right, &"0".repeat(64))).expect("the lock file");
    let said = stack.core(&["up", "-d"]);
    assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
    expect_words(&said.err, &[right, &"0".repeat(64), "core lock --update tool"]);
}

fn a_module_that_cannot_be_had_leaves_nothing() {
    let stack = with_go(stack()).env("GOPROXY", "off");
    stack.service("one", &service(&of_module(MODULE.0, "v1.2.3")));
    let said = stack.core(&["up", "-d"]);
    assert_eq!((said.code, landed(&stack)), (1, vec![]), "{said:?}");
    expect_words(&said.err, &["go-build", "building failed", MODULE.0, "GOPROXY=off"]);
    assert_eq!(locked(&stack, "tool"), Value::Null);
}

fn without_go_the_next_source_is_tried() {
    let (server, stack) = (Server::new(), with_only(with_package(), &[]));
    for sources in [of_package(), of_module(MODULE.0, MODULE.1)] {
        let mut both = sources.clone();
        both.as_array_mut().expect("a list").push(served(&server, "/tool", &program("fetched"), "0.9"));
        stack.service("one", &service(&both));
        stack.up();
        expect_runs(&stack, "one", "tool-0.9/tool");
        stack.service("one", &service(&sources));
        let said = stack.core(&["check"]);
        assert_eq!(said.code, 2, "{said:?}");
        expect_words(&said.err, &["go-build: there is no `go` in PATH"]);
        stack.ok(&["down"]);
    }
}

fn a_go_build_is_of_a_path_or_of_a_module() {
    let stack = with_package();
    for (source, words) in [
        (json!({"source": "go-build"}), "either `path`"),
        (json!({"source": "go-build", "module": "example.com/x"}), "either `path`"),
        (json!({"source": "go-build", "path": "x", "module": "example.com/x", "version": "v1.0.0"}), "either `path`"),
        (json!({"source": "go-build", "module": "example.com/x", "version": "latest"}), "not an exact version"),
        (json!({"source": "go-build", "path": "../x"}), "not below"),
    ] {
        stack.service("one", &service(&json!([source])));
        let said = stack.core(&["check"]);
        assert_eq!(said.code, 2, "{said:?}");
        expect_words(&said.err, &[words]);
    }
}

fn of_package() -> Value {
    json!([{"source": "go-build", "path": "tools/tool"}])
}

fn of_module(module: &str, version: &str) -> Value {
    json!([{"source": "go-build", "module": module, "version": version}])
}

/// A stack whose builds share what go compiled before: the standard library takes it ten seconds.
fn with_go(stack: Stack) -> Stack {
    stack.env("GOCACHE", &format!("{}/go", env!("CARGO_TARGET_TMPDIR")))
}

/// A stack that is a Go module, with a program and a package that it imports.
fn with_package() -> Stack {
    let stack = with_go(stack());
    stack.write("go.mod", "module example.com/stack\n\ngo 1.21\n");
    let main = "package main\n\nimport (\n\t\"os\"\n\t\"time\"\n\n\t\"example.com/stack/lib/word\"\n)\n\n\
        func main() {\n\tos.Stdout.WriteString(word.Word + \"\\n\")\n\ttime.Sleep(time.Hour)\n}\n";
    stack.write("tools/tool/main.go", main);
    put_word(&stack, "one");
    stack.service("one", &service(&of_package()));
    stack
}

fn put_word(stack: &Stack, word: &str) {
    stack.write("lib/word/word.go", &format!("package word\n\nvar Word = \"{word}\"\n"));
}

fn which(name: &str) -> std::path::PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|folder| std::path::Path::new(folder).join(name)).find(|path| path.is_file());
    found.expect(name)
}
