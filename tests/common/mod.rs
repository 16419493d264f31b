//! A stack in a folder of its own, and what the kernel says of it.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses its own part of this")]

pub(crate) mod apart;
pub(crate) mod browser;
pub(crate) mod demo;
pub(crate) mod hello;
pub(crate) mod http;
pub(crate) mod http3;
pub(crate) mod issuer;
pub(crate) mod load;
pub(crate) mod manifests;
pub(crate) mod ours;
pub(crate) mod pebble;
pub(crate) mod preload;
pub(crate) mod printed;
pub(crate) mod proc;
pub(crate) mod readme;
pub(crate) mod rude;
pub(crate) mod small;
pub(crate) mod tls;
pub(crate) mod trials;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use core_shim::place::Place;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// `core` as it was built for these tests.
pub(crate) const CORE: &str = env!("CARGO_BIN_EXE_core");
/// How long anything may take that takes a moment: machines are slow at times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long nobody looks after something was not yet so.
const PAUSE: Duration = Duration::from_millis(10);

/// Stacks so far, for names and port ranges of their own.
static STACKS: AtomicU32 = AtomicU32::new(0);

/// A stack in a temporary folder. When it goes out of sight nothing of it is left running.
pub(crate) struct Stack {
    pub(crate) root: PathBuf,
    folder: Option<tempfile::TempDir>,
    env: Vec<(String, String)>,
    /// The disk of its state, where that is one of its own.
    disk: Option<small::Disk>,
    /// Whose it is, where that is not who runs the tests.
    user: Option<apart::User>,
}

impl Stack {
    /// An empty stack, with a range of ports of its own.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("core-test-").tempdir().expect("a temporary folder");
        let root = fs::canonicalize(folder.path()).expect("the folder");
        Self::at(root, Some(folder))
    }

    /// A stack in a folder that is there.
    pub(crate) fn at(root: PathBuf, folder: Option<tempfile::TempDir>) -> Self {
        fs::create_dir_all(root.join("services")).expect("services/");
        fs::create_dir_all(root.join("manifests")).expect("manifests/");
        let stack = Self { root, folder, env: Vec::new(), disk: None, user: None };
        // Stacks of other tests and of other test binaries run at the same time.
        let number = STACKS.fetch_add(1, Ordering::Relaxed) + 7 * std::process::id();
        let first = 12_000 + 60 * (number % 250);
        if !stack.root.join("manifests/local.json").exists() {
            stack.write(
                "manifests/local.json",
                // What a test edits is carried out when it says so.
                &json!({"ports": {"auto": format!("{first}-{}", first + 59)}, "watch": false}).to_string(),
            );
        }
        stack
    }

    /// With a variable in the environment of `core`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Writes a file of the stack.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Writes a secret that nobody else may read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let path = format!(".secrets/{name}");
        self.write(&path, text);
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// Writes a manifest.
    pub(crate) fn service(&self, name: &str, manifest: &Value) -> &Self {
        self.write(&format!("services/{name}/service.json"), &manifest.to_string());
        self
    }

    /// A service that is a shell line.
    pub(crate) fn shell(&self, name: &str, line: &str, compose: Value) -> &Self {
        self.service(name, &json!({"process": {"command": line, "shell": true, "compose": compose}}))
    }

    /// `core` with these words, in this stack.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = match (&self.disk, &self.user) {
            (Some(disk), _) => disk.command(CORE),
            (None, Some(user)) => user.command(),
            (None, None) => Command::new(CORE),
        };
        command.args(words).current_dir(&self.root).stdin(Stdio::null());
        // What the machine's own environment says of stacks is none of theirs.
        for name in ["CORE_ROOT", "CORE_PROFILE", "COLUMNS"] {
            command.env_remove(name);
        }
        if self.disk.is_some() {
            // Who enters the namespace of a disk is in its root folder.
            command.env("CORE_ROOT", &self.root);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        heed_all(&mut command);
        command
    }

    /// Runs `core` to its end.
    pub(crate) fn core(&self, words: &[&str]) -> Said {
        Said::of(self.command(words).output().expect("core runs"))
    }

    /// Runs `core` and expects it to end well.
    pub(crate) fn ok(&self, words: &[&str]) -> Said {
        let said = self.core(words);
        assert_eq!(said.code, 0, "core {}\n{}{}\n{}", words.join(" "), said.out, said.err, self.own_log());
        said
    }

    /// Brings the stack up.
    pub(crate) fn up(&self) -> Said {
        self.ok(&["up", "-d"])
    }

    /// Brings the stack up in the foreground, and waits until it has said that all is ready: it follows from then on.
    #[track_caller]
    pub(crate) fn up_in_front(&self) -> Child {
        let said = self.root.join("up.said");
        let file = fs::File::create(&said).expect("a file");
        let mut up = self.command(&["up"]).stdout(Stdio::null()).stderr(file).spawn().expect("core runs");
        until("`core up` says that all is ready", || {
            let text = fs::read_to_string(&said).expect("the file");
            assert!(up.try_wait().expect("it is ours").is_none(), "it has ended: {text}");
            text.lines().any(|line| line.starts_with("ready"))
        });
        self.until_ready();
        up
    }

    /// Waits until a supervisor says that all is ready.
    #[track_caller]
    pub(crate) fn until_ready(&self) {
        until("all is ready", || self.core(&["status", "--check"]).code == 0);
    }

    /// The state as JSON.
    pub(crate) fn status(&self) -> Value {
        let said = self.ok(&["status", "--json"]);
        serde_json::from_str(&said.out).expect("status is JSON")
    }

    /// The first instance of a service, as `status` shows it.
    pub(crate) fn instance(&self, service: &str) -> Value {
        self.instances(service).into_iter().next().unwrap_or(Value::Null)
    }

    /// With Caddy and the other programs of this repository: what is fetched and built lands in the checkout's `.dep/`,
    /// so that a second run finds it there.
    pub(crate) fn with_programs() -> Self {
        let (stack, checkout) = (Self::new(), checkout());
        fs::create_dir_all(checkout.join(".dep")).expect(".dep");
        std::os::unix::fs::symlink(checkout.join(".dep"), stack.root.join(".dep")).expect("a link");
        let lock = "manifests/dep.lock.json";
        fs::copy(checkout.join(lock), stack.root.join(lock)).expect("the lock");
        stack
    }

    /// Changes a manifest as an editor does: written beside, renamed.
    pub(crate) fn edit(&self, service: &str, change: impl FnOnce(&mut Value)) {
        let path = self.root.join(format!("services/{service}/service.json"));
        let mut manifest = serde_json::from_slice(&fs::read(&path).expect("the manifest")).expect("JSON");
        change(&mut manifest);
        let beside = path.with_extension("new");
        fs::write(&beside, manifest.to_string()).expect("a file");
        fs::rename(&beside, &path).expect("renamed");
    }

    /// The instances of a service, as `status` shows them.
    pub(crate) fn instances(&self, service: &str) -> Vec<Value> {
        let status = self.status();
        let all = status["instances"].as_array().expect("instances");
        all.iter().filter(|one| one["service"] == service).cloned().collect()
    }

    /// The processes of a service.
    pub(crate) fn pids_of(&self, service: &str) -> Vec<u32> {
        let pid = |one: &Value| u32::try_from(one["pid"].as_u64()?).ok();
        self.instances(service).iter().filter_map(pid).collect()
    }

    /// The run folder of the first instance of a service.
    pub(crate) fn run_of(&self, service: &str) -> PathBuf {
        let run = self.run_folder().expect("a run folder");
        run.join(self.instance(service)["id"].as_str().expect("its name"))
    }

    /// What stands in the run folder about the instance of a service.
    pub(crate) fn place_of(&self, service: &str) -> Place {
        let name = self.instance(service)["id"].as_str().expect("its name").to_owned();
        Place::new(&self.run_folder().expect("a run folder"), &name)
    }

    /// The process of a service.
    pub(crate) fn pid(&self, service: &str) -> u32 {
        let instance = self.instance(service);
        let pid = instance["pid"].as_u64().unwrap_or_else(|| panic!("{service} has no process: {instance}"));
        u32::try_from(pid).expect("a process number")
    }

    /// The process of a service, once that is another one than before.
    #[track_caller]
    pub(crate) fn next_pid(&self, service: &str, before: u32) -> u32 {
        eventually("it has another process", || {
            let pid = u32::try_from(self.instance(service)["pid"].as_u64()?).expect("a process number");
            (pid != before).then_some(pid)
        })
    }

    /// The output of a service, as `core logs` prints it, without its prefix.
    pub(crate) fn lines(&self, service: &str) -> Vec<String> {
        let said = self.core(&["logs", "-n", "all", "--json", service]);
        let entries = said.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter_map(|entry| Some(entry["line"].as_str()?.to_owned())).collect()
    }

    /// Waits until the last thing a service said is this: it is ready before it has said anything.
    #[track_caller]
    pub(crate) fn until_says(&self, service: &str, line: &str) {
        until(line, || self.lines(service).last().is_some_and(|last| last == line));
    }

    /// What supervisor and keeper said.
    pub(crate) fn own_log(&self) -> String {
        fs::read_to_string(self.root.join(".core-stack/core.log")).unwrap_or_default()
    }

    /// The run folder, where there is one.
    pub(crate) fn run_folder(&self) -> Option<PathBuf> {
        fs::read_link(self.root.join(".core-stack/run")).ok()
    }

    /// All processes that belong to this stack: ours by their command line or their root, services by what they hold.
    pub(crate) fn processes(&self) -> Vec<proc::Process> {
        proc::of_stack(&self.root)
    }

    /// What stands for the root in the names of folders.
    pub(crate) fn hash(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Expects that nothing of the stack is left: no process, no socket, no folder.
    pub(crate) fn expect_nothing_left(&self, run: Option<&Path>) {
        let left = self.processes();
        assert!(left.is_empty(), "left: {left:#?}");
        if let Some(run) = run {
            assert!(!run.exists(), "{} is left", run.display());
        }
        // A shim that was let go takes a moment to go, and with its keeper gone it is none of the processes above.
        until("its shims are gone", || self.ours().is_empty());
    }

    /// Whatever there is of this stack.
    fn pids(&self) -> Vec<u32> {
        let all = self.processes().into_iter().chain(self.ours().into_iter().map(|(_, one)| one));
        all.map(|one| one.pid).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // What a test that failed has held still would answer nobody.
        self.pids().into_iter().filter(|pid| proc::is_held(*pid)).for_each(|pid| proc::send(pid, "CONT"));
        if std::thread::panicking() {
            let status = self.core(&["status"]);
            eprintln!("--- status\n{}{}--- core.log\n{}", status.out, status.err, self.own_log());
        }
        let _ = self.command(&["down", "--kill"]).output();
        // Again and again: who is killed may have been replaced a moment before.
        let until = Instant::now() + PATIENCE;
        let mut left = self.pids();
        while !left.is_empty() && Instant::now() < until {
            proc::kill_all(&left);
            std::thread::park_timeout(PAUSE);
            left = self.pids();
        }
        if std::env::var_os("KEEP").is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
}

/// Has a program begin as a shell begins it in front: whoever runs the tests may have them ignore what ends a program.
pub(crate) fn heed_all(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let heed = || {
        for number in [nix::libc::SIGINT, nix::libc::SIGQUIT, nix::libc::SIGHUP] {
            // SAFETY: the default action runs no code of ours.
            unsafe { nix::libc::signal(number, nix::libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: a few system calls, which are allowed after a fork.
    unsafe { command.pre_exec(heed) };
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.local_addr().expect("its address").port()
}

/// The folder that these tests were built from.
pub(crate) fn checkout() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("the checkout")
}

/// Writes a program of the machine's.
pub(crate) fn put_program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, script).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// Compares with the snapshot of this name.
macro_rules! same {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($name, $text);
        })
    };
}
pub(crate) use same;
