//! The stack starts with the host: what is written for it, and a power cut. The service is one with releases, whose `node`
//! only plays one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::trials::{Test, tests};
use crate::common::{Said, proc, put_program, until};
use crate::scene::Scene;
use crate::shelf::expect_words;

pub(crate) const TESTS: &[Test] = tests![
    after_a_power_cut_the_live_release_serves,
    a_unit_is_one_that_systemd_takes,
    a_power_cut_between_switch_and_record,
    the_crontab_keeps_its_other_lines,
    what_others_wrote_is_left_alone,
];

impl Scene {
    /// Everything dies at once, and what was in memory is gone.
    fn cut_power(&self) {
        let run = self.stack.run_folder().expect("a run folder");
        // The keeper would start another supervisor, and a service another process: until nothing is left.
        until("all of it is dead", || {
            let pids: Vec<u32> = self.stack.processes().iter().map(|process| process.pid).collect();
            proc::kill_all(&pids);
            pids.is_empty()
        });
        fs::remove_dir_all(run).expect("the run folder");
    }

    fn boot(&self, words: &[&str]) -> Said {
        self.stack.core(&[&["boot"], words].concat())
    }
}

/// What whoever boots the host runs, with nothing in its environment.
fn run_bare(line: &str) {
    let mut shell = Command::new("/bin/sh");
    let status = shell.args(["-c", line]).env_clear().stdin(Stdio::null()).status().expect("a shell");
    assert!(status.success(), "{line}");
}

fn after_a_power_cut_the_live_release_serves() {
    let scene = Scene::new();
    // What node is to be found by is remembered; what it notes, it was told by the shell that is gone.
    let notes = scene.notes.display().to_string();
    scene.stack.edit("web", |manifest| manifest["process"]["env"] = serde_json::json!({"NOTES": notes}));
    scene.stack.up();
    scene.stack.write("app/page", "two");
    scene.stack.ok(&["deploy"]);
    scene.stack.write("app/page", "three");
    scene.stack.ok(&["deploy"]);
    scene.stack.ok(&["rollback"]);
    let (live, built) = (scene.live(), scene.notes().len());
    scene.stack.until_says("web", "serving two");
    let cron = scene.boot(&["show", "--manager", "cron"]).out;
    let cron = cron.trim().strip_prefix("@reboot ").expect("a line of cron").replace("\\%", "%");
    let unit = scene.boot(&["show", "--manager", "systemd"]).out;
    let of_unit = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).expect("a line").to_owned();
    let systemd = format!("{} {}", of_unit("Environment=").trim_matches('"'), of_unit("ExecStart="));
    for line in [&cron, &systemd] {
        scene.cut_power();
        run_bare(line);
        scene.stack.until_says("web", "serving two");
        assert_eq!((scene.live(), scene.stack.instance("web")["release"].clone()), (live.clone(), live.clone().into()));
    }
    assert_eq!(scene.notes().len(), built, "nothing was built");
    // A reload moves nothing that serves; a stop is `core down`.
    let pid = scene.stack.pid("web");
    run_bare(&of_unit("ExecReload="));
    assert_eq!(scene.stack.pid("web"), pid);
    run_bare(&of_unit("ExecStop="));
    until("it is down", || scene.stack.processes().is_empty());
}

/// Where systemd is installed, by its own word; of the system and of a user.
fn a_unit_is_one_that_systemd_takes() {
    let scene = Scene::new();
    let shown = scene.boot(&["show", "--manager", "systemd"]);
    expect_words(&shown.err, &["off: `core boot on`", "systemd/"]);
    let root = scene.stack.root.display().to_string();
    expect_words(
        &shown.out,
        &["[Service]", "SuccessExitStatus=1", &format!("--root \"{root}\""), "--profile \"local\""],
    );
    let unit = scene.stack.root.join("core-test.service");
    fs::write(&unit, &shown.out).expect("a unit");
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() {
        Ok(said) => {
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.status.success() && !text.contains("core-test"), "{text}");
        }
        Err(error) => assert!(!Path::new("/run/systemd/system").exists(), "systemd runs here, and {error}"),
    }
    let script = scene.boot(&["show", "--manager", "openrc"]).out;
    let checked = Command::new("/bin/sh").args(["-n", "-c", &script]).status().expect("a shell");
    assert!(checked.success() && script.starts_with("#!/sbin/openrc-run\n"), "{script}");
}

/// With a program in the place of cron's own, which keeps the table in a file.
fn the_crontab_keeps_its_other_lines() {
    let scene = Scene::new();
    let table = scene.stack.root.join("table");
    let script = format!(
        "#!/bin/sh\n[ -e '{0}.broken' ] && echo 'permission denied' >&2 && exit 1\n[ \"$1\" = -l ] && exec cat '{0}'\ncat > '{0}.new' && mv '{0}.new' '{0}'\n",
        table.display()
    );
    put_program(&scene.stack.root.join("node/bin/crontab"), &script);
    fs::write(&table, "5 * * * * true\n@reboot another\n").expect("a table");
    let lines = || fs::read_to_string(&table).expect("the table").lines().map(str::to_owned).collect::<Vec<_>>();
    for _ in 0..2 {
        let said = scene.boot(&["on", "--manager", "cron"]);
        assert_eq!(said.code, 0, "{said:?}");
        let now = lines();
        assert_eq!((now.len(), &now[1][..]), (3, "@reboot another"), "{now:?}");
        assert!(now[2].ends_with(&format!("# core boot: {}", scene.stack.root.display())), "{now:?}");
    }
    expect_words(&scene.boot(&["show", "--manager", "cron"]).err, &["on: the stack starts with the host"]);
    // One that cannot be read is not replaced.
    let broken = table.with_extension("broken");
    fs::write(&broken, "").expect("a file");
    let said = scene.boot(&["on", "--manager", "cron"]);
    assert_eq!((said.code, lines().len()), (1, 3), "{said:?}");
    expect_words(&said.err, &["the crontab cannot be read: permission denied"]);
    fs::remove_file(broken).expect("the file");
    assert_eq!(scene.boot(&["off", "--manager", "cron"]).code, 0);
    assert_eq!(lines(), ["5 * * * * true", "@reboot another"]);
    expect_words(&scene.boot(&["off", "--manager", "cron"]).err, &["off already"]);
}

fn what_others_wrote_is_left_alone() {
    let scene = Scene::new();
    let home = scene.stack.root.join("home");
    let stack = &scene.stack;
    let shown = stack.core(&["boot", "show", "--manager", "systemd"]).err;
    let place = shown.split_whitespace().find(|word| word.contains("systemd/")).expect("a place").trim_end_matches(',');
    // Only where this is no file of the host.
    if place.starts_with("/etc/") {
        return;
    }
    let name = Path::new(place).file_name().expect("a name");
    let theirs = home.join("systemd/user").join(name);
    fs::create_dir_all(theirs.parent().expect("a folder")).expect("it");
    fs::write(&theirs, "[Unit]\n").expect("a unit");
    let mut command = stack.command(&["boot", "on", "--manager", "systemd"]);
    let said = Said::of(command.env("XDG_CONFIG_HOME", &home).output().expect("core"));
    assert_eq!(said.code, 1, "{said:?}");
    expect_words(&said.err, &["was not written by `core boot on`"]);
    assert_eq!(fs::read_to_string(&theirs).expect("it"), "[Unit]\n");
}

/// The wish is what was written down; where that is lost, the link for people tells.
fn a_power_cut_between_switch_and_record() {
    let scene = Scene::new();
    let stack = &scene.stack;
    stack.up();
    let first = scene.live();
    stack.write("app/page", "two");
    stack.ok(&["deploy"]);
    let second = scene.live();
    scene.cut_power();
    let link = stack.root.join(".releases/web/current");
    let point = |to: &str| {
        fs::remove_file(&link).expect("the link");
        std::os::unix::fs::symlink(to, &link).expect("a link");
    };
    point(&first);
    stack.up();
    stack.until_says("web", "serving two");
    assert_eq!(scene.live(), second, "the link is put right");
    scene.cut_power();
    fs::remove_file(stack.root.join(".core-stack/state.json")).expect("the state");
    let before = stack.root.join(".core-stack/state.json.before");
    let _ = fs::remove_file(before);
    point(&first);
    stack.up();
    stack.until_says("web", "serving one");
    assert_eq!(scene.notes().iter().filter(|line| *line == "build").count(), 2, "nothing was built");
}
