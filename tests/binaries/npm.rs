//! Packages of the npm registry. One is real; for the others a shell script plays npm.

use std::fs;

use serde_json::{Value, json};

use crate::common::trials::{Test, tests};
use crate::common::{Stack, eventually, proc, put_program, until};
use crate::machine::{landed, notes, with_only, with_programs};
use crate::parcel::{program, sha256};
use crate::server::Server;
use crate::shared::begin_up;
use crate::shelf::{expect_nothing_lands, expect_runs, expect_words, locked, served, service, shelf, stack};

pub(crate) const TESTS: &[Test] = tests![
    a_real_package_is_installed_once,
    a_package_s_program_runs,
    the_service_s_own_node_runs_npm,
    another_tarball_than_the_locked_one_is_refused,
    an_npm_that_fails_leaves_nothing,
    a_package_without_the_program_leaves_nothing,
    without_npm_the_next_source_is_tried,
    a_folder_of_another_source_is_left_to_it,
    only_exact_packages_are_installed,
    down_ends_npm,
];

/// Small, holds one program, and depends on another package. It ends well where `CI` is set.
const PACKAGE: (&str, &str) = ("is-ci", "3.0.1");

/// Plays npm: packs the file `tarball`, and installs one program that is in it.
const NPM: &str = r#"echo "$@" >> "$NOTES"
for word; do
    case "$want" in --prefix) prefix=$word ;; --pack-destination) into=$word ;; esac
    want=$word
done
case "$*" in
*" pack "*) cp "$TARBALL" "$into/tool-1.0.0.tgz" || exit 1 ;;
*" install "*)
    mkdir -p "$prefix/node_modules/.bin" "$prefix/node_modules/tool"
    cp "$want" "$prefix/node_modules/tool/tool.sh"
    cd "$prefix/node_modules/.bin" && ln -s ../tool/tool.sh tool ;;
esac"#;

fn a_real_package_is_installed_once() {
    let stack = Stack::new();
    let (package, version) = PACKAGE;
    let manifest = json!({"binaries": [{"name": package, "source": "npm", "package": package, "version": version}],
        "process": {"command": format!("${{dep.{package}}}"), "env": {"CI": "true"},
            "compose": {"availability": {"restart": "no"}}}});
    stack.service("one", &manifest);
    stack.up();
    let folder = format!("{package}-{version}");
    assert_eq!(landed(&stack), [package, &folder]);
    let modules = stack.root.join(".dep").join(&folder).join("node_modules");
    assert!(modules.join("ci-info/package.json").is_file());
    let entry = locked(&stack, package);
    assert_eq!((entry["source"].as_str(), entry["version"].as_str()), (Some("npm"), Some(version)), "{entry}");
    assert_eq!(entry["file"], format!("{folder}.tgz"));
    // Fetched anew, it is the same.
    stack.ok(&["lock", "--update", package]);
    assert_eq!(locked(&stack, package), entry);
    // From here on npm is not needed, nor even there.
    stack.ok(&["down"]);
    let stack = with_programs(stack, &[("npm", r#"echo "$@" >> "$NOTES"; exit 1"#)]);
    stack.up();
    assert_eq!(notes(&stack), [""; 0]);
    assert_eq!(locked(&stack, package), entry);
}

fn a_package_s_program_runs() {
    let stack = with_tarball(&program("one"));
    stack.service("one", &service(&npm()));
    stack.up();
    expect_runs(&stack, "one", "tool-1.0.0/node_modules/.bin/tool");
    stack.until_says("one", "this is one");
    assert_eq!(shelf(&stack.root), ["tool", "tool-1.0.0"]);
    assert_eq!(locked(&stack, "tool")["sha256"], sha256(&program("one")));
    // The very version, and nothing of it is executed; what is installed is what was hashed.
    let said = notes(&stack);
    assert_eq!(said.len(), 2, "{said:?}");
    expect_words(&said[0], &["--ignore-scripts", "pack tool@1.0.0"]);
    expect_words(&said[1], &["--ignore-scripts", "install", "/tool-1.0.0.tgz"]);
    stack.ok(&["down"]);
    stack.up();
    assert_eq!(notes(&stack), said);
}

fn the_service_s_own_node_runs_npm() {
    let stack = with_tarball(&program("one"));
    let node = stack.root.join("node");
    let script =
        format!("#!/bin/sh\necho \"node $1\" >> \"$NOTES\"\nexec \"{}/programs/npm\" \"$@\"\n", stack.root.display());
    put_program(&node.join("bin/node"), &script);
    stack.write("node/lib/node_modules/npm/bin/npm-cli.js", "");
    let program = node.join("bin/node").display().to_string();
    let mut manifest = service(&npm());
    // Wherever it stands in the list.
    manifest["binaries"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"name": "node", "source": "path", "program": program}));
    stack.service("one", &manifest);
    stack.up();
    stack.until_says("one", "this is one");
    let said = notes(&stack);
    assert_eq!(
        said.iter().filter(|line| line.starts_with("node ") && line.ends_with("npm-cli.js")).count(),
        2,
        "{said:?}"
    );
}

fn another_tarball_than_the_locked_one_is_refused() {
    let stack = with_tarball(&program("one"));
    stack.service("one", &service(&npm()));
    stack.up();
    stack.ok(&["down"]);
    let entry = locked(&stack, "tool");
    fs::remove_dir_all(stack.root.join(".dep")).expect(".dep/");
    // The registry now gives another file for the same version.
    fs::write(stack.root.join("tarball"), program("evil")).expect("the tarball");
    let said = stack.core(&["up", "-d"]);
    assert_eq!(said.code, 1, "{said:?}");
    let (right, wrong) = (sha256(&program("one")), sha256(&program("evil")));
    expect_words(&said.err, &[&right, &wrong, "tool-1.0.0.tgz", "core lock --update tool"]);
    assert_eq!((shelf(&stack.root), locked(&stack, "tool")), (vec![], entry));
}

fn an_npm_that_fails_leaves_nothing() {
    let failing = |step: &str| {
        let script = format!("case \"$*\" in *' {step} '*) echo 'not today' >&2; touch half; exit 1 ;; esac\n{NPM}");
        let stack = with_programs(with_tarball(&program("one")), &[("npm", &script)]);
        stack.service("one", &service(&npm()));
        stack
    };
    expect_nothing_lands(&failing("pack"), &["npm", "could not download tool@1.0.0", "not today"]);
    expect_nothing_lands(&failing("install"), &["npm", "could not install tool@1.0.0", "not today"]);
    // Nor does one that ends well and brings nothing.
    let stack = with_programs(stack(), &[("npm", "exit 0")]);
    stack.service("one", &service(&npm()));
    expect_nothing_lands(&stack, &["npm downloaded nothing for tool@1.0.0"]);
}

fn a_package_without_the_program_leaves_nothing() {
    let stack = with_tarball(&program("one"));
    let manifest = json!({"binaries": [{"name": "other", "source": "npm", "package": "tool", "version": "1.0.0"}],
        "process": {"command": "${dep.other}"}});
    stack.service("one", &manifest);
    expect_nothing_lands(&stack, &["no program `other`", "`file`", "node_modules/.bin: tool"]);
    let mut manifest = manifest;
    manifest["binaries"][0]["file"] = json!("node_modules/tool/other.sh");
    stack.service("one", &manifest);
    stack.ok(&["down"]);
    expect_nothing_lands(&stack, &["tool-1.0.0.tgz holds no program `node_modules/tool/other.sh`"]);
    manifest["binaries"][0]["file"] = json!("node_modules/tool/tool.sh");
    stack.service("one", &manifest);
    stack.ok(&["down"]);
    stack.up();
    expect_runs(&stack, "one", "other-1.0.0/node_modules/tool/tool.sh");
}

fn without_npm_the_next_source_is_tried() {
    let (server, stack) = (Server::new(), with_only(stack(), &[]));
    let mut sources = npm();
    sources.as_array_mut().expect("a list").push(served(&server, "/tool", &program("two"), "0.9"));
    stack.service("one", &service(&sources));
    stack.up();
    expect_runs(&stack, "one", "tool-0.9/tool");
    stack.ok(&["down"]);
    stack.service("one", &service(&npm()));
    let said = stack.core(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    expect_words(&said.err, &["npm: there is no `npm` in PATH"]);
}

fn a_folder_of_another_source_is_left_to_it() {
    let (server, stack) = (Server::new(), with_tarball(&program("one")));
    fs::remove_file(stack.root.join("tarball")).expect("the tarball");
    let mut sources = npm();
    sources.as_array_mut().expect("a list").push(served(&server, "/tool", &program("two"), "1.0.0"));
    stack.service("one", &service(&sources));
    stack.up();
    expect_runs(&stack, "one", "tool-1.0.0/tool");
    // The next stack begins with the first source, whose folder is there and holds something else.
    stack.ok(&["down"]);
    stack.up();
    expect_runs(&stack, "one", "tool-1.0.0/tool");
    stack.service("one", &service(&npm()));
    expect_words(&stack.core(&["check"]).err, &[".dep/tool-1.0.0 is there without"]);
}

fn only_exact_packages_are_installed() {
    let stack = with_programs(stack(), &[("npm", NPM)]);
    for (package, version, word) in [
        ("tool", "^1.0.0", "not an exact version"),
        ("tool", "latest", "not an exact version"),
        ("../x", "1.0.0", "not a package name"),
    ] {
        stack.service("one", &service(&json!([{"source": "npm", "package": package, "version": version}])));
        expect_words(&stack.core(&["check"]).err, &[word]);
    }
    assert_eq!(notes(&stack), [""; 0]);
}

fn down_ends_npm() {
    let stack = with_programs(stack(), &[("npm", r#"echo $$ > "$NOTES"; touch half; sleep 1000"#)]);
    stack.service("one", &service(&npm()));
    let mut up = begin_up(&stack);
    let pid = eventually("npm runs", || notes(&stack).first()?.parse::<u32>().ok());
    stack.ok(&["down"]);
    assert!(!up.wait().expect("it ends").success());
    until("npm is gone", || !proc::lives(pid));
    assert_eq!(shelf(&stack.root), [""; 0]);
}

fn npm() -> Value {
    json!([{"source": "npm", "package": "tool", "version": "1.0.0"}])
}

/// A stack whose npm packs the file `tarball` of its root.
fn with_tarball(contents: &[u8]) -> Stack {
    let stack = stack();
    let path = stack.root.join("tarball");
    fs::write(&path, contents).expect("the tarball");
    with_programs(stack.env("TARBALL", &path.display().to_string()), &[("npm", NPM)])
}
