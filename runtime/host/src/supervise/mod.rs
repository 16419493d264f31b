//! The supervisor: the loop that feeds the engine and starts the effects.
//!
//! It waits in one place. Each input becomes one event; the engine returns actions; the state is saved if necessary;
//! then the effects start, and report to the same inbox. Nothing here makes decisions.

mod answer;
mod askers;
mod certificates;
mod checks;
mod hands;
mod input;
mod job;
mod lost;
mod queue;
mod reading;
mod saving;
mod trials;
mod upkeep;

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use core_engine::event::{Command, Event};
use core_engine::record::Cause;
use core_engine::{Action, Engine, InstanceId, Time};
use core_shim::sys;
use core_stack::Hidden;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{mpsc, watch};

use crate::allowance::Allowance;
use crate::api::Server;
use crate::binaries::Progress;
use crate::compose;
use crate::descriptors;
use crate::environment::Environment;
use crate::history;
use crate::journal::Journal;
use crate::launch::{self, Launch};
use crate::logs::Sweeper;
use crate::own_log;
use crate::paths::Paths;
use crate::pressure;
use crate::probes::Prober;
use crate::shims::{self, Keeper, Shims};
use crate::usage::Counters;
use askers::{Askers, Waiting};
use input::Input;
use job::Jobs;
use lost::Lost;
use reading::Reading;
use saving::Saving;

/// How long open requests may take to be answered after the stack has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// A deadline missed by this much was missed because this process itself did not run.
const LATE: Duration = Duration::from_millis(100);
/// How many turns all other tasks get before a deadline missed like that takes effect.
const TURNS: u32 = 4;
/// The pause before a failed start of a keeper is repeated.
const KEEPER_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for the state to be saved when the keeper is gone.
const LAST_WRITING: Duration = Duration::from_secs(2);
/// How often to look for pointers of services that no longer exist.
const SWEEP: Duration = Duration::from_secs(60);

/// The state of the loop.
pub(crate) struct Supervisor {
    paths: Paths,
    engine: Engine,
    shims: Shims,
    prober: Prober,
    counters: Counters,
    saving: Saving,
    history: history::Writer,
    /// Secrets, which are never shown.
    hidden: Hidden,
    progress: Progress,
    jobs: Jobs,
    reading: Reading,
    allowance: Allowance,
    certificates: tokio::sync::watch::Sender<certificates::Asked>,
    logs: Sweeper,
    inbox: mpsc::UnboundedSender<Event>,
    /// What instances of services with trials have last said that they answered.
    answered: BTreeMap<InstanceId, (u64, u64)>,
    /// The names of previews that somebody asks for.
    rings: mpsc::UnboundedSender<String>,
    keeper: Rc<Keeper>,
    /// The server of the control socket.
    server: Server,
    askers: Askers,
    /// Messages to show once.
    announcements: Vec<String>,
    /// Exit code of the stack, once it has ended.
    ended: Option<i32>,
    steps: watch::Sender<u64>,
}

/// Runs the supervisor until the stack has ended. Returns the exit code of the stack.
///
/// # Errors
/// Why it cannot run at all.
pub async fn supervise(paths: Paths, launch: Launch) -> io::Result<i32> {
    descriptors::raise();
    descriptors::hold();
    let keeper = Rc::new(Keeper::inherit(&paths)?);
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (inbox, mut events) = mpsc::unbounded_channel();
    let (asks_in, mut asks) = mpsc::channel(64);
    let (reads_in, mut reads) = mpsc::unbounded_channel();
    let (edits_in, mut edits) = mpsc::unbounded_channel();
    let (writes_in, mut writes) = mpsc::unbounded_channel();
    let (rings, mut rung) = mpsc::unbounded_channel();
    let (renewals, mut renewed) = mpsc::unbounded_channel();
    let (steps, steps_seen) = watch::channel(0);
    let journal = Journal::of_launch(&paths, launch.number);
    let remembered = journal.read();
    let profile = launch.profile.clone().or_else(|| remembered.as_ref().map(|one| one.profile.clone()));
    let environment = Environment::inherited();
    let open = Arc::new(AtomicUsize::new(0));
    let hidden = Hidden::default();
    own_log::hand_over(paths.own_log(), hidden.clone());
    let history = history::Writer::new(&paths, hidden.clone());
    let server = Server {
        asks: asks_in,
        steps: steps_seen,
        paths: paths.clone(),
        open: open.clone(),
        history: history.clone(),
        hidden: hidden.clone(),
    };
    let mut supervisor = Supervisor {
        server: server.clone(),
        shims: Shims::new(paths.clone(), keeper.clone(), environment, inbox.clone()),
        allowance: Allowance::default(),
        certificates: certificates::begin(paths.clone(), renewals),
        reading: Reading::new(profile, &launch, compose::Writer::new(&paths), reads_in),
        engine: Engine::new(sys::monotonic_ns() ^ u64::from(std::process::id())),
        prober: Prober::default(),
        counters: Counters::default(),
        progress: Progress::default(),
        jobs: Jobs::default(),
        askers: Askers::default(),
        announcements: Vec::new(),
        ended: None,
        history,
        hidden,
        logs: Sweeper::start(&paths),
        saving: Saving::new(journal, writes_in),
        inbox,
        answered: BTreeMap::new(),
        rings,
        keeper,
        steps,
        paths,
    };
    // Clients can connect now, and are answered once the shims have reported, which may take time.
    let listener = server.open()?;
    tokio::task::spawn_local(server.serve(listener));
    supervisor.hang_up_bell();
    // Before anything else, find out which processes live.
    let found = shims::find(&supervisor.paths, &mut supervisor.shims).await;
    let launched = remembered.as_ref().is_some_and(|one| one.launch != launch.number);
    let saved = remembered.map(|remembered| Box::new(remembered.saved));
    let restored = Event::Restored { launched, saved, found };
    let actions = supervisor.engine.step(now(), &restored);
    supervisor.hidden.learn_of(&supervisor.engine.topology());
    supervisor.begin_all(&restored, actions);
    supervisor.follow_certificates();
    supervisor.admit_names();
    // With `--no-watch`, edits wait for `core apply`, whatever the manifests say.
    if !launch.no_watch {
        crate::watch::begin(supervisor.paths.root.clone(), edits_in);
    }
    supervisor.keeper.answering();
    let mut sweep = tokio::time::interval_at(tokio::time::Instant::now() + SWEEP, SWEEP);
    let mut look = tokio::time::interval(pressure::PAUSE);
    // Nobody looks while nothing is warm, and that time is not made up for.
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = trials::turns();
    let mut check = checks::turns();
    // If this cannot be watched, a removal is not noticed.
    let mut lost = Lost::of(&supervisor.paths.run).ok();
    // When to try again to start a keeper, after a failure.
    let mut no_keeper_until = None;
    while supervisor.ended.is_none() {
        let deadline = supervisor.engine.deadline();
        let alarm = supervisor.saving.alarm(supervisor.engine.is_stopping());
        let input = tokio::select! {
            biased;
            () = next_signal(&mut signals) => Input::Signal,
            input = from_keeper(&supervisor.keeper, no_keeper_until) => input,
            Some(event) = events.recv() => Input::Event(event),
            Some(written) = writes.recv() => Input::Written(written),
            Some(outcome) = reads.recv() => Input::Read(Box::new(outcome)),
            Some(fingerprint) = edits.recv() => Input::Edited(fingerprint),
            Some(ask) = asks.recv() => Input::Ask(ask),
            () = at(alarm) => Input::Disk,
            () = until(deadline) => Input::Event(Event::Tick),
            () = supervisor.keeper.is_silent() => Input::KeeperSilent,
            _ = sweep.tick() => Input::Sweep,
            Some(label) = rung.recv() => Input::Ring(label),
            Some(edge) = renewed.recv() => Input::Renewed(edge),
            _ = check.tick() => Input::Check,
            _ = count.tick(), if supervisor.engine.has_trials() => Input::Count,
            _ = look.tick(), if supervisor.engine.keeps_warm() => Input::Look,
            () = lost::next(lost.as_ref()) => Input::Lost,
        };
        match input {
            Input::Event(event) => {
                supervisor.give(&event);
                // Handle all events that have already arrived, so that their effects start together.
                while let Ok(event) = events.try_recv() {
                    supervisor.give(&event);
                }
            }
            Input::Ask(ask) => supervisor.answer(ask),
            Input::Read(outcome) => supervisor.take_reading(*outcome),
            Input::Edited(fingerprint) => {
                let fingerprint = fingerprint.number();
                supervisor.give(&Event::Edited { fingerprint });
            }
            Input::Written(written) => supervisor.written(written),
            Input::Disk => supervisor.look_at_the_disk(),
            Input::Signal => supervisor.signalled(),
            Input::Sweep => supervisor.sweep_all(),
            Input::Look => supervisor.look(),
            Input::Count => supervisor.count_answers(),
            Input::Check => supervisor.check_services(),
            Input::Ring(label) => supervisor.ring(&label),
            Input::Renewed(edge) => supervisor.renew(edge),
            Input::Lost => supervisor.look_for_run_folder(&mut lost),
            Input::Keeper(report) => supervisor.shims.heard(report),
            Input::KeeperSilent => {
                tracing::warn!("the keeper does not answer and is killed; another one takes over");
                supervisor.keeper.kill();
            }
            Input::KeeperGone => {
                // Without a keeper, no instance can be started. A new keeper starts a new supervisor, which finds every
                // shim where it is.
                tracing::warn!("the keeper is gone; another one takes over");
                // Save the state first, but do not wait long for a disk that does not answer.
                let patience = tokio::time::Instant::now() + LAST_WRITING;
                while supervisor.saving.is_open()
                    && let Ok(Some(written)) = tokio::time::timeout_at(patience, writes.recv()).await
                {
                    supervisor.written(written);
                }
                let _ = tokio::time::timeout(LAST_ANSWERS, supervisor.history.flush()).await;
                let launch = supervisor.reading.launch(&launch);
                match descriptors::with_reserve(|| launch::start_keeper(&supervisor.paths, &launch)) {
                    Ok(_) => {
                        supervisor.jobs.call_off().await;
                        return Ok(0);
                    }
                    // No other process would try again.
                    Err(error) => {
                        tracing::error!("a keeper cannot be started: {error}; trying again");
                        no_keeper_until = Some(tokio::time::Instant::now() + KEEPER_PAUSE);
                    }
                }
            }
        }
        supervisor.shims.flush();
        descriptors::hold();
    }
    let code = supervisor.ended.unwrap_or(0);
    // Clients that wait for an operation get its result.
    let until = tokio::time::Instant::now() + LAST_ANSWERS;
    while open.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < until {
        if let Ok(Some(ask)) = tokio::time::timeout(Duration::from_millis(5), asks.recv()).await {
            supervisor.answer(ask);
        }
    }
    // The answers are queued; give their connections a chance to send them.
    tokio::task::yield_now().await;
    let _ = tokio::time::timeout(LAST_ANSWERS, supervisor.history.flush()).await;
    supervisor.jobs.call_off().await;
    supervisor.keeper.farewell(code);
    supervisor.leave();
    Ok(code)
}

/// Waits until the engine's deadline.
async fn until(deadline: Option<Time>) {
    match deadline {
        Some(at) => {
            let left = at - now();
            if !left.is_zero() {
                tokio::time::sleep(left).await;
            }
            // If this process was late, there may be unread input that matters: it is read first.
            for _ in 0..if now() > at + LATE { TURNS } else { 0 } {
                tokio::task::yield_now().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Waits until a moment; forever if there is none.
async fn at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for a signal that asks to stop the stack.
async fn next_signal(signals: &mut Signals) {
    use futures_core::Stream;
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *signals).poll_next(context));
    if next.await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The next report of the keeper; or that it is gone, at once or when a failed start of another one is to be repeated.
async fn from_keeper(keeper: &Keeper, no_keeper_until: Option<tokio::time::Instant>) -> Input {
    if let Some(until) = no_keeper_until {
        tokio::time::sleep_until(until).await;
        return Input::KeeperGone;
    }
    keeper.next().await.map_or(Input::KeeperGone, Input::Keeper)
}

/// The engine's time: the kernel's monotonic clock.
fn now() -> Time {
    Time(sys::monotonic_ns() / 1000)
}

impl Supervisor {
    /// Passes an event to the engine and starts the resulting actions.
    fn give(&mut self, event: &Event) {
        let before = self.engine.generation();
        let actions = self.engine.step(now(), event);
        let generation = self.engine.generation();
        if generation != before {
            tracing::info!(%generation, "a new generation");
        }
        self.begin_all(event, actions);
    }

    /// Starts the actions of an event.
    fn begin_all(&mut self, event: &Event, actions: Vec<Action>) {
        self.begin_actions(actions);
        hands::note(event);
        // Wakes requests that wait for a change. (Not at every turn of the loop: their questions are turns too.)
        self.steps.send_modify(|steps| *steps += 1);
    }

    fn signalled(&mut self) {
        let command = if self.engine.is_stopping() { Command::Kill } else { Command::Down };
        self.operate(command, Cause::Signal, None);
    }

    /// Gives a command to the engine, for a client that waits or for none.
    fn operate(&mut self, command: Command, by: Cause, who: Option<Waiting>) {
        let operation = self.engine.next_operation();
        if let Some(who) = who {
            self.askers.wait(operation, who);
        }
        self.give(&Event::Command { operation, command, by });
    }

    fn begin(&mut self, action: Action) {
        tracing::trace!(?action);
        match action {
            // Its position in the queue was its effect.
            Action::Save => {}
            Action::Record(record) => self.history.write(record),
            Action::Exit { code } => self.ended = Some(code),
            other => self.carry_out(other),
        }
    }
}
