//! Deploys to other hosts. The stacks are on this one, and what stands for ssh runs the line that it is given by a shell, with
//! an environment of its own, as sshd does. `node` only plays one.

use std::fs;
use std::process::Stdio;

use crate::common::trials::{Test, tests};
use crate::common::{Said, put_program, until};
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![
    a_release_is_built_here_and_deployed_there,
    what_was_cut_off_goes_on_where_it_stopped,
    the_first_host_that_fails_is_the_last,
    a_link_that_drops_ends_nothing,
    an_archive_may_come_through_a_pipe,
    what_is_not_watched_is_no_change,
    this_program_is_put_where_it_can_run,
];

/// The line comes after `--`; whatever is before names the host.
const LINE: &str = r#"while [ "$1" != -- ]; do shift; done; shift"#;

impl Scene {
    /// Puts a program in the place of ssh, and returns the command that is to be run.
    pub(crate) fn ssh(&self, script: &str, there: &Self) -> String {
        let bin = self.stack.root.join("ssh");
        // What the user there has in every shell.
        let core = env!("CARGO_BIN_EXE_core");
        let set = format!(
            "PATH={}:{} NOTES={} XDG_RUNTIME_DIR=",
            std::path::Path::new(core).parent().expect("a folder").display(),
            there.stack.root.join("node/bin").display(),
            there.notes.display(),
        );
        put_program(&bin, &format!("#!/bin/sh\n{LINE}\nset -- \"export {set}$PATH; $*\"\n{script}\n"));
        bin.display().to_string()
    }

    fn ship(&self, ssh: &str, words: &[&str]) -> Said {
        let mut command = self.stack.command(&[&["deploy"], words].concat());
        Said::of(command.env("CORE_SSH_COMMAND", ssh).output().expect("core"))
    }

    /// Where it is, for `--host`.
    pub(crate) fn host(&self) -> String {
        format!("app@there:{}", self.stack.root.display())
    }
}

fn a_release_is_built_here_and_deployed_there() {
    let (here, there) = (Scene::new(), Scene::new());
    there.stack.up();
    let ssh = here.ssh("exec /bin/sh -c \"$1\"", &there);
    here.stack.write("app/page", "from elsewhere");
    let said = here.ship(&ssh, &["--host", &there.host(), "-m", "it's the first"]);
    assert_eq!(said.code, 0, "{said:?}");
    expect_words(&said.err, &["app@there: sending", "deployed: web 20", &format!("deployed to {}", there.host())]);
    there.stack.until_says("web", "serving from elsewhere");
    assert_eq!((there.notes().len(), here.releases()), (2, vec![]), "it was built here, and landed there");
    expect_words(&there.stack.ok(&["releases"]).out, &["it's the first"]);
    // The same sources are neither built nor switched again.
    let built = here.notes().len();
    let said = here.ship(&ssh, &["--host", &there.host()]);
    assert_eq!((said.code, here.notes().len()), (0, built), "{said:?}");
    expect_words(&said.err, &["unchanged: web"]);
    let left: Vec<_> = fs::read_dir(there.stack.root.join(".core-stack/incoming")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn what_was_cut_off_goes_on_where_it_stopped() {
    let (here, there) = (Scene::new(), Scene::new());
    there.stack.up();
    let (pid, first) = (there.stack.pid("web"), there.live());
    here.stack.write("app/page", "two");
    // Something that is not small once it is compressed.
    here.stack.write("app/words", &random_words());
    let cut = here.ssh("head -c 200 | /bin/sh -c \"$1\"; exit 255", &there);
    let said = here.ship(&cut, &["--host", &there.host()]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["the archive ended after 200 of", "goes on"]);
    assert_eq!((there.stack.pid("web"), there.live(), there.releases().len()), (pid, first, 1));
    let built = here.notes().len();
    let whole = here.ssh("exec /bin/sh -c \"$1\"", &there);
    let said = here.ship(&whole, &["--host", &there.host()]);
    assert_eq!((said.code, here.notes().len()), (0, built), "{said:?}");
    expect_words(&said.err, &["1 KiB of it are there"]);
    there.stack.until_says("web", "serving two");
}

/// Text that does not get smaller.
fn random_words() -> String {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..2000).map(|_| format!("{:x}", next())).collect()
}

fn the_first_host_that_fails_is_the_last() {
    let (here, one, two) = (Scene::new(), Scene::new(), Scene::new());
    one.stack.up();
    let ssh = here.ssh("exec /bin/sh -c \"$1\"", &one);
    here.stack.write("app/page", "two");
    // Nothing runs on the second.
    let said = here.ship(&ssh, &["--host", &one.host(), "--host", &two.host(), "--host", "app@third"]);
    assert_eq!(said.code, 3, "{said:?}");
    expect_words(
        &said.err,
        &[
            &format!("deployed to {}", one.host()),
            "the stack is not running",
            &format!("{}: it was not deployed", two.host()),
            "not deployed to app@third",
        ],
    );
    one.stack.until_says("web", "serving two");
}

/// After all of it was sent, the deploy needs nobody who listens.
fn a_link_that_drops_ends_nothing() {
    let (here, there) = (Scene::new(), Scene::new());
    there.stack.up();
    let script = r#"
pipe=$(mktemp -u) out=$(mktemp)
mkfifo "$pipe"
setsid /bin/sh -c "$1" < "$pipe" > "$out" 2>/dev/null &
exec 3> "$pipe"
until [ -s "$out" ]; do :; done
cat "$out"
cat >&3
exec 3>&-
until grep whole "$out"; do :; done
rm "$pipe" "$out"
exit 255"#;
    let ssh = here.ssh(script, &there);
    here.stack.write("app/page", "two");
    let said = here.ship(&ssh, &["--host", &there.host()]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["the deploy goes on there", "how it ends: ssh app@there", "history"]);
    there.stack.until_says("web", "serving two");
    until("it is in the history", || there.stack.ok(&["history"]).out.contains("deploy"));
}

fn an_archive_may_come_through_a_pipe() {
    let (here, there) = (Scene::new(), Scene::new());
    there.stack.up();
    here.stack.write("app/page", "two");
    here.stack.ok(&["build", "-o", "web.tar.zst"]);
    let archive = here.stack.root.join("web.tar.zst");
    let piped = |from: Stdio| {
        let mut command = there.stack.command(&["deploy", "-"]);
        Said::of(command.stdin(from).output().expect("core"))
    };
    let (pid, first) = (there.stack.pid("web"), there.live());
    let half = fs::read(&archive).expect("the archive");
    there.stack.write("half", "");
    fs::write(there.stack.root.join("half"), &half[..half.len() / 2]).expect("half of it");
    let said = piped(fs::File::open(there.stack.root.join("half")).expect("it").into());
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["is no archive of a release"]);
    assert_eq!((there.stack.pid("web"), there.live(), there.releases().len()), (pid, first, 1));
    let said = piped(fs::File::open(&archive).expect("the archive").into());
    assert_eq!(said.code, 0, "{said:?}");
    there.stack.until_says("web", "serving two");
}

/// By the rules of `.gitignore`; a change that was taken back is none.
fn what_is_not_watched_is_no_change() {
    let scene = Scene::new();
    let stack = &scene.stack;
    let configure = |word: &str| {
        stack.edit("web", |manifest| {
            manifest["kind"] = "next".into();
            manifest["config"] = serde_json::json!({
                "app": "app", "watch_paths": ["/page", "/lib/", "!*.md"], "build": {"env": {"WORD": word}},
            });
        });
    };
    configure("one");
    stack.write("app/lib/a.ts", "a");
    stack.up();
    let deploy = || {
        let said = stack.ok(&["deploy", "--if-changed"]);
        !said.err.contains("unchanged")
    };
    assert!(!deploy(), "nothing has changed");
    for (path, text) in [("other/page", "x"), ("lib/README.md", "x"), ("package.json", "{\"name\": \"x\"}")] {
        stack.write(&format!("app/{path}"), text);
        assert!(!deploy(), "{path} is not watched");
    }
    stack.write("app/page", "two");
    assert!(deploy());
    stack.until_says("web", "serving two");
    // What was taken back before it was deployed is none.
    stack.write("app/page", "three");
    stack.write("app/page", "two");
    assert!(!deploy());
    fs::rename(stack.root.join("app/lib/a.ts"), stack.root.join("app/lib/b.ts")).expect("renamed");
    assert!(deploy(), "a file has another name");
    configure("two");
    assert!(deploy(), "a variable of the build has another value");
    assert!(stack.ok(&["deploy", "app"]).err.contains("unchanged: web"), "the folder of the app names the service");
    assert!(!deploy());
    stack.edit("web", |manifest| manifest["config"]["watch_paths"] = serde_json::json!(["a{b"]));
    let said = stack.core(&["deploy", "--if-changed"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["config.watch_paths: `a{b`"]);
}

/// A small one that says its version.
const PROGRAM: &str = "/bin/ls";

/// What is there is replaced as a whole, and only by something that runs there.
fn this_program_is_put_where_it_can_run() {
    let here = Scene::new();
    let (home, bin) = (here.stack.root.join("home"), here.stack.root.join("ssh"));
    fs::create_dir(&home).expect("a home");
    let ssh = |set: &str| {
        let line = "exec /bin/sh -c \"$1\"";
        put_program(&bin, &format!("#!/bin/sh\n{LINE}\nset -- \"{set}; $*\"\n{line}\n"));
        let mut command = here.stack.command(&["bootstrap", "--program", PROGRAM, "--host", "app@there:srv/stack"]);
        command.env("CORE_SSH_COMMAND", bin.display().to_string()).env("HOME", &home).current_dir(&home);
        Said::of(command.output().expect("core"))
    };
    let user = "id() { echo 1000; }";
    let said = ssh(user);
    assert_eq!(said.code, 0, "{said:?}");
    let put = home.join(".local/bin/core");
    assert_eq!(fs::read(&put).expect("it"), fs::read(PROGRAM).expect("the program"));
    assert!(home.join("srv/stack").is_dir(), "the root is made");
    expect_words(&said.err, &["ready: app@there:srv/stack: ls "]);
    let before = fs::metadata(&put).expect("it").modified().expect("a time");
    let said = ssh(&format!("{user}; uname() {{ [ \\$1 = -m ] && echo riscv64 || echo Linux; }}"));
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["that host is Linux on riscv64", "packaging/portable"]);
    assert_eq!(fs::metadata(&put).expect("it").modified().expect("a time"), before);
}
