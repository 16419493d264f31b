//! A stack that is tried: its services have names that no other stack has, so that each shim of it is found by its name
//! alone, whoever its parent is and whatever it holds; every command has a limit, and so has its end.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use core_shim::place::Place;
use core_shim::record::{Ended, Invocation};

use crate::common::proc::{self, Process};
use crate::common::{Said, Stack};

/// How long something may take that takes a moment: much more, since machines are slow at times.
pub(crate) const SOON: Duration = Duration::from_secs(12);
/// How long `down` may take, the services' own ten seconds included.
pub(crate) const DOWN: Duration = Duration::from_secs(25);
/// How long nobody looks after something was not yet so.
const PAUSE: Duration = Duration::from_millis(10);

/// Commands so far, for files of their own.
static COMMANDS: AtomicU32 = AtomicU32::new(0);

/// The stack. When it goes out of sight nothing of it is left running, whatever became of it.
pub(crate) struct Tried {
    stack: Stack,
    suffix: String,
}

impl Deref for Tried {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

/// A command that was begun.
pub(crate) struct Begun {
    child: Child,
    files: [PathBuf; 2],
    /// When.
    pub(crate) at: Instant,
}

impl Begun {
    /// What it said, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<Said> {
        let status = self.child.try_wait().expect("it is ours")?;
        let [out, err] = self.files.clone().map(|file| fs::read_to_string(file).unwrap_or_default());
        Some(Said { code: status.code().unwrap_or(-1), out, err })
    }

    /// Waits for its end.
    pub(crate) fn within(&mut self, limit: Duration) -> Option<Said> {
        let until = Instant::now() + limit;
        loop {
            let said = self.ended();
            if said.is_some() || Instant::now() >= until {
                return said;
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

impl Tried {
    /// An empty stack.
    pub(crate) fn new() -> Self {
        Self::of(Stack::new())
    }

    /// A stack that is there.
    pub(crate) fn of(stack: Stack) -> Self {
        let suffix = format!("x{}", &stack.hash()[..7]);
        Self { stack, suffix }
    }

    /// The name of a service, that no other stack has.
    pub(crate) fn name(&self, role: &str) -> String {
        format!("{role}{}", self.suffix)
    }

    /// What a service is, by its name.
    pub(crate) fn role<'a>(&self, service: &'a str) -> Option<&'a str> {
        service.strip_suffix(&self.suffix)
    }

    /// Begins a command.
    pub(crate) fn begin(&self, words: &[&str]) -> Begun {
        self.begin_as(self.command(words))
    }

    /// Begins a command of another program.
    pub(crate) fn begin_as(&self, mut command: Command) -> Begun {
        let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
        let files = ["out", "err"].map(|stream| self.root.join(format!("said.{number}.{stream}")));
        let [out, err] = [0, 1].map(|at: usize| fs::File::create(&files[at]).expect("a file"));
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("core runs");
        Begun { child, files, at: Instant::now() }
    }

    /// Runs `core`, and expects it to end in time.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration, words: &[&str]) -> Said {
        let said = self.begin(words).within(limit);
        said.unwrap_or_else(|| panic!("core {} did not end within {} s", words.join(" "), limit.as_secs()))
    }

    /// Runs `core`, and expects it to end well and in time.
    #[track_caller]
    pub(crate) fn well(&self, limit: Duration, words: &[&str]) -> Said {
        let said = self.within(limit, words);
        assert_eq!(said.code, 0, "core {}\n{}{}\n{}", words.join(" "), said.out, said.err, self.own_log());
        said
    }

    /// Whether `core status --check` says that all is well; that it does not answer is not well.
    pub(crate) fn is_well(&self) -> bool {
        self.begin(&["status", "--check"]).within(SOON).is_some_and(|said| said.code == 0)
    }

    /// Every shim of this stack, by its instance: whatever is called so, as it is now.
    pub(crate) fn shims(&self) -> Vec<(String, Process)> {
        let instance = |one: &Process| one.args.first()?.strip_prefix("core-shim ").map(str::to_owned);
        let is_its = |name: &str| name.contains(&format!("{}-", self.suffix));
        let all = proc::all().into_iter().filter(|one| one.state != 'Z');
        let all: Vec<(String, Process)> =
            all.filter_map(|one| Some((instance(&one).filter(|name| is_its(name))?, one))).collect();
        // What a shim has forked looks like it until it is the service.
        let is_forked = |one: &Process| all.iter().any(|(_, other)| other.pid == one.parent && other.args == one.args);
        all.iter().filter(|(_, one)| !is_forked(one)).cloned().collect()
    }

    /// The processes of the shims of a service.
    pub(crate) fn shims_of(&self, service: &str) -> Vec<u32> {
        let starts = format!("{service}-");
        self.shims().into_iter().filter(|(name, _)| name.starts_with(&starts)).map(|(_, one)| one.pid).collect()
    }

    /// The files of an instance.
    pub(crate) fn place(&self, instance: &str) -> Place {
        Place::new(&self.run_folder().expect("a run folder"), instance)
    }

    /// What the record of an instance says was begun.
    pub(crate) fn record(&self, instance: &str) -> Option<Invocation> {
        Invocation::read(&Place::new(&self.run_folder()?, instance).invocation()).ok()
    }

    /// What the record of an instance says of an end.
    pub(crate) fn end(&self, instance: &str) -> Option<Ended> {
        Ended::read(&Place::new(&self.run_folder()?, instance).exit()).ok()
    }

    /// The process of an instance, as its record names it.
    #[track_caller]
    pub(crate) fn leader(&self, instance: &str) -> u32 {
        soon("its record names a process", || {
            self.record(instance).map(|record| record.pid).filter(|pid| *pid > 0 && proc::lives(*pid))
        })
    }

    /// The folders of the stack's cgroup, where there are any.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mount = mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words.get(2) == Some(&"cgroup2")).then(|| PathBuf::from(words[1]))
        });
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let (Some(mount), Some(own)) = (mount, own) else { return Vec::new() };
        let starts = format!("core-{}", self.hash());
        let entries = fs::read_dir(mount.join(own)).into_iter().flatten().flatten();
        entries.filter(|one| one.file_name().to_string_lossy().starts_with(&starts)).map(|one| one.path()).collect()
    }

    /// What is left of the stack, in words.
    pub(crate) fn left(&self) -> Vec<String> {
        let told = |one: &Process| format!("process {} {:?}", one.pid, one.args.join(" "));
        let mut left: Vec<String> = self.everybody().iter().map(told).collect();
        let run = self.run_folder();
        left.extend(run.iter().map(|_| "the link to the run folder".to_owned()));
        left.extend(run.iter().filter(|run| run.exists()).map(|run| format!("{}", run.display())));
        left.extend(self.cgroups().iter().map(|path| format!("{}", path.display())));
        left
    }

    /// Expects that nothing of the stack is left: no process, run folder, link or cgroup.
    #[track_caller]
    pub(crate) fn expect_nothing(&self, run: Option<PathBuf>) {
        let until = Instant::now() + SOON;
        loop {
            let left = self.left();
            if left.is_empty() && !run.as_ref().is_some_and(|run| run.exists()) {
                return;
            }
            assert!(Instant::now() < until, "left of {run:?}: {left:#?}");
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Every process of the stack: ours, its services, and what is called a shim of it.
    pub(crate) fn everybody(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.extend(self.ours().into_iter().map(|(_, one)| one));
        all.extend(self.shims().into_iter().map(|(_, one)| one));
        // Those without a mark stand in the stack's folder all the same.
        let stands = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&self.root));
        all.extend(proc::all().into_iter().filter(|one| one.pid != std::process::id() && stands(one.pid)));
        all.retain(|one| one.state != 'Z');
        all.sort_by_key(|one| one.pid);
        all.dedup_by_key(|one| one.pid);
        all
    }

    /// Ends all of it without a word to anybody: what broke `core` may keep its commands from ending, too.
    pub(crate) fn sweep(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let left: Vec<u32> = self.everybody().iter().map(|one| one.pid).collect();
            if left.is_empty() || Instant::now() > until {
                break;
            }
            proc::kill_all(&left);
            std::thread::park_timeout(PAUSE);
        }
        for folder in self.cgroups() {
            core_shim::cgroup::remove_tree(&folder);
        }
        if let Some(run) = self.run_folder() {
            let _ = fs::remove_dir_all(run);
            let _ = fs::remove_file(self.root.join(".core-stack/run"));
        }
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.begin(&["status"]).within(Duration::from_secs(3));
            eprintln!("--- status: {said:?}\n--- core.log\n{}", tail(&self.own_log(), 40));
        }
        self.sweep();
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Waits until `look` finds something, which takes a moment.
#[track_caller]
pub(crate) fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let found = found_within(SOON, look);
    found.unwrap_or_else(|| panic!("not within {} s: {what}", SOON.as_secs()))
}

/// Looks again and again for as long as that.
pub(crate) fn found_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > until {
            return found;
        }
        std::thread::park_timeout(PAUSE);
    }
}
