//! The workflow that `core generate-ci` writes: its steps, run in order by a shell, deploy to another stack. `node` only plays
//! one, and what stands for ssh runs the line that it is given by a shell. (`actionlint` is not on every machine.)

use std::fs;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::common::trials::{Test, tests};
use crate::common::{Said, put_program};
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![the_steps_of_a_workflow_deploy, a_workflow_of_another_is_left_alone];

/// The steps with a shell, each with its folder and its lines.
fn steps(workflow: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let (mut folder, mut is_inside) = (".".to_owned(), false);
    for line in workflow.lines() {
        let text = line.trim_start();
        if let Some(named) = text.strip_prefix("working-directory: ") {
            named.clone_into(&mut folder);
        }
        if text == "run: |" {
            all.push((std::mem::replace(&mut folder, ".".to_owned()), String::new()));
            is_inside = true;
        } else if is_inside && (line.starts_with("          ") || line.is_empty()) {
            let (_, lines) = all.last_mut().expect("a step");
            lines.push_str(line.strip_prefix("          ").unwrap_or_default());
            lines.push('\n');
        } else {
            is_inside = false;
        }
    }
    all
}

fn the_steps_of_a_workflow_deploy() {
    let (here, there) = (Scene::new(), Scene::new());
    there.stack.up();
    here.stack.ok(&["generate-ci", "github"]);
    let workflow = fs::read_to_string(here.stack.root.join(".github/workflows/deploy.yml")).expect("a workflow");
    let steps = steps(&workflow);
    assert_eq!(steps.len(), 5, "{workflow}");
    assert_eq!(steps[0], ("app".to_owned(), "npm ci\n".to_owned()));
    // npm as a program, as it is on a machine with node.
    put_program(&here.stack.root.join("node/bin/npm"), "#!/bin/sh\necho \"npm $*\" >> \"$NOTES\"\n");
    let core = env!("CARGO_BIN_EXE_core");
    let sum: String = Sha256::digest(fs::read(core).expect("core")).iter().map(|byte| format!("{byte:02x}")).collect();
    let ssh = here.ssh("exec /bin/sh -c \"$1\"", &there);
    let home = here.stack.root.join("home");
    fs::create_dir(&home).expect("a home");
    here.stack.write("app/page", "by a workflow");
    let path = format!("{}:{}", here.stack.root.join("node/bin").display(), std::env::var("PATH").expect("a PATH"));
    let run = |sum: &str, (folder, lines): &(String, String)| {
        let mut shell = Command::new("bash");
        shell.args(["-e", "-o", "pipefail", "-c", lines]).current_dir(here.stack.root.join(folder)).env_clear();
        shell.envs([("PATH", &path[..]), ("CORE_URL", &format!("file://{core}")), ("CORE_SHA256", sum)]);
        shell.env("HOME", &home).env("NOTES", &here.notes).env("CORE_SSH_COMMAND", &ssh);
        shell.env("DEPLOY_HOST", there.host()).env("DEPLOY_MESSAGE", "abc123").env("SSH_PRIVATE_KEY", "a key");
        Said::of(shell.output().expect("bash"))
    };
    let wrong = run(&sum.replace(&sum[..4], "0000"), &steps[2]);
    assert_ne!(wrong.code, 0, "another program is refused: {wrong:?}");
    for step in &steps {
        let said = run(&sum, step);
        assert_eq!(said.code, 0, "{step:?}: {said:?}");
    }
    there.stack.until_says("web", "serving by a workflow");
    expect_words(&there.stack.ok(&["releases"]).out, &["abc123"]);
    assert!(home.join(".ssh").is_dir() && !home.join(".ssh/core_deploy").exists(), "the key does not stay");
    let gitlab = here.stack.ok(&["generate-ci", "gitlab", "--print"]).out;
    expect_words(&gitlab, &["image: node:20", "npm ci", "deploy web.tar.zst"]);
}

fn a_workflow_of_another_is_left_alone() {
    let scene = Scene::new();
    scene.stack.write(".gitlab-ci.yml", "theirs: true\n");
    let said = scene.stack.core(&["generate-ci", "gitlab"]);
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &[".gitlab-ci.yml is there already", "--print"]);
    assert_eq!(fs::read_to_string(scene.stack.root.join(".gitlab-ci.yml")).expect("it"), "theirs: true\n");
}
