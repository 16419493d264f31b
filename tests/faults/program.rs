//! The program's own file goes away, as a package manager that brings another version takes it away.

use std::fs;

use super::one_shim::always;
use crate::common::trials::{Test, tests};
use crate::common::{CORE, proc};
use crate::random::tried::{DOWN, Tried, soon};

pub(crate) const TESTS: &[Test] = tests![a_stack_outlives_the_file_of_its_program];

fn a_stack_outlives_the_file_of_its_program() {
    let stack = Tried::new();
    let instances = ["a", "b"].map(|role| {
        let name = stack.name(role);
        stack.shell(&name, "exec sleep 4321", always());
        format!("{name}-0@1")
    });
    let first = stack.root.join("v1/core");
    fs::create_dir_all(first.parent().expect("a folder")).expect("a folder");
    fs::copy(CORE, &first).expect("the program");
    let mut up = std::process::Command::new(&first);
    up.args(["up", "-d"]).current_dir(&stack.root);
    for name in ["CORE_ROOT", "CORE_PROFILE"] {
        up.env_remove(name);
    }
    let said = stack.begin_as(up).within(DOWN).expect("`core up` ends");
    assert_eq!(said.code, 0, "{said:?}");
    let pids = || instances.each_ref().map(|instance| stack.leader(instance));
    let before = pids();
    fs::remove_dir_all(first.parent().expect("a folder")).expect("removed");
    for _ in 0..2 {
        let supervisor = stack.supervisor();
        proc::kill(supervisor);
        soon("it is back", || {
            let another = stack
                .ours()
                .into_iter()
                .any(|(_, one)| one.pid != supervisor && one.args.get(1).is_some_and(|word| word == "supervise"));
            (another && stack.is_well()).then_some(())
        });
        assert_eq!(pids(), before, "a service has another process");
    }
    let log = stack.own_log();
    let is_told = |line: &&str| {
        let words = ["gone", "removed", "deleted", "no longer", "taken away", "missing"];
        let is_about_it = ["v1/core", "program", "file"].iter().any(|word| line.contains(word));
        is_about_it && words.iter().any(|word| line.contains(word))
    };
    assert_eq!(log.lines().filter(is_told).count(), 1, "core.log says once that the file is gone:\n{log}");
    proc::kill(before[1]);
    soon("it is started again", || {
        stack.record(&instances[1]).filter(|record| record.pid != before[1] && proc::lives(record.pid))
    });
    let before = pids();
    stack.well(DOWN, &["up", "-d"]);
    soon("all is well", || stack.is_well().then_some(()));
    assert_eq!(pids(), before, "a service has another process");
    let run = stack.run_folder();
    stack.well(DOWN, &["down"]);
    stack.expect_nothing(run);
}
