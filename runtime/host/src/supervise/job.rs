//! A download or a build, in its own thread: unpacking and hashing take seconds, and the loop must not wait.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use core_engine::command::{Deploying, Make};
use core_engine::event::{Event, Unavailable};
use core_engine::folder::folder_of;
use core_engine::record::Cause;
use core_manifest::{Diagnostic, ServiceName};
use core_stack::Wanted;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::binaries::{self, Locator, Progress};
use crate::hooks::BeforeSwitch;
use crate::load::{self, Options};
use crate::paths::Paths;
use crate::releases::{self, Deployer};

/// How long a cancelled job may take to end.
const CALLED_OFF: Duration = Duration::from_secs(2);

/// What to download or build.
pub(super) struct Job {
    pub(super) order: Order,
    /// How each folder is made that it may need.
    pub(super) all: BTreeMap<String, Wanted>,
    /// How the manifests are read.
    pub(super) options: Options,
}

/// What was asked for.
#[derive(Clone)]
pub(super) enum Order {
    /// A folder: of `.dep/`, or a release.
    Folder(String),
    /// A release of a service of its sources as they are.
    Release { operation: u64, service: ServiceName, how: Deploying, by: Cause },
}

impl Order {
    /// Its name among the jobs that are shown.
    fn key(&self) -> String {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Release { service, .. } => releases::asked(service.as_str()),
        }
    }

    /// The folder of a release that was made without a switch and may serve: a rollback may name it.
    fn only_made(&self, paths: &Paths, result: &Result<Option<String>, Unavailable>) -> Option<String> {
        let Self::Release { service, how: Deploying { switch: false, .. }, .. } = self else { return None };
        let id = result.as_ref().ok()?.as_ref()?;
        (!releases::is_pending(paths, service.as_str(), id)).then(|| folder_of(service.as_str(), id))
    }

    /// The event that reports what has become of it: `Ok` holds the release, if one was made.
    pub(super) fn answer(&self, result: Result<Option<String>, Unavailable>) -> Event {
        match self.clone() {
            Self::Folder(folder) => Event::Prepared { folder, result: result.map(drop) },
            Self::Release { operation, service, .. } => {
                let result = result.map(Option::unwrap_or_default).map_err(|error| error.why);
                Event::ReleaseMade { operation, service, result }
            }
        }
    }
}

/// Jobs in progress.
#[derive(Default)]
pub(super) struct Jobs(Vec<UnderWay>);

struct UnderWay {
    /// Its name among the jobs that are shown.
    key: String,
    /// Set once it runs what a manifest has run before a switch: that is not cut off by a newer deploy.
    begun: Arc<AtomicBool>,
    /// Dropping this cancels the job.
    call: oneshot::Sender<()>,
    /// Closes when the job has ended.
    over: oneshot::Receiver<()>,
}

impl Jobs {
    /// Starts a job, which reports its result to `inbox`.
    pub(super) fn begin(&mut self, job: Job, paths: &Paths, progress: &Progress, inbox: &mpsc::UnboundedSender<Event>) {
        self.0.retain(|job| !job.call.is_closed());
        let (paths, progress, to) = (paths.clone(), progress.clone(), inbox.clone());
        let ((call, called_off), (ends, over)) = (oneshot::channel(), oneshot::channel::<()>());
        let (order, key) = (job.order.clone(), job.order.key());
        let begun = Arc::new(AtomicBool::new(false));
        let of_job = Arc::clone(&begun);
        let work = move || {
            let done = catch_unwind(AssertUnwindSafe(|| job.carry_out(&paths, &progress, &of_job, called_off)));
            progress.end(&job.order.key());
            let result = done.unwrap_or_else(|_| Some(Err("it ended by a fault of core itself".to_owned().into())));
            if let Some(result) = result {
                if let Some(folder) = job.order.only_made(&paths, &result) {
                    let _ = to.send(Event::Prepared { folder, result: Ok(()) });
                }
                let _ = to.send(job.order.answer(result));
            }
            drop(ends);
        };
        match std::thread::Builder::new().name("job".into()).spawn(work) {
            Ok(_) => self.0.push(UnderWay { key, begun, call, over }),
            Err(error) => {
                let result = Err(format!("it cannot be started: no thread: {error}").into());
                let _ = inbox.send(order.answer(result));
            }
        }
    }

    /// Cancels the job of this name, if there is one. It reports nothing. A migration that runs comes to its end, and what
    /// it reports then is of no use to anybody.
    pub(super) fn drop_one(&mut self, key: &str) {
        self.0.retain(|job| job.key != key || job.begun.load(Ordering::Relaxed));
    }

    /// Cancels all jobs, and waits a moment until they have cleaned up.
    pub(super) async fn call_off(&mut self) {
        let until = Instant::now() + CALLED_OFF;
        let (calls, jobs): (Vec<_>, Vec<_>) = self.0.drain(..).map(|job| (job.call, job.over)).unzip();
        drop(calls);
        for over in jobs {
            let _ = tokio::time::timeout_at(until, over).await;
        }
    }
}

impl Job {
    /// Downloads or builds. Returns `None` if it was cancelled.
    fn carry_out(
        &self,
        paths: &Paths,
        progress: &Progress,
        begun: &AtomicBool,
        called_off: oneshot::Receiver<()>,
    ) -> Option<Result<Option<String>, Unavailable>> {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Some(Err(format!("it cannot be started: {error}").into())),
        };
        let work = tokio::task::LocalSet::new();
        work.block_on(&runtime, async {
            tokio::select! {
                result = self.prepare(paths, progress, begun) => Some(result),
                // Dropping the future kills its programs and deletes its unfinished folder.
                _ = called_off => None,
            }
        })
    }

    async fn prepare(
        &self,
        paths: &Paths,
        progress: &Progress,
        begun: &AtomicBool,
    ) -> Result<Option<String>, Unavailable> {
        match &self.order {
            Order::Folder(folder) => {
                let wanted = self.all.get(folder).ok_or_else(|| format!("nothing is known of {folder}"))?;
                if wanted.tool.as_ref().is_some_and(|(_, folder)| folder.is_some()) {
                    progress.say(folder, "waiting for its tools");
                }
                binaries::prepare_tool(paths, &self.all, wanted, progress).await?;
                let before =
                    BeforeSwitch { paths, options: &self.options, building: &wanted.building, progress, begun };
                releases::provide_finished(paths, folder, wanted, progress, Some(&before)).await.map(|()| None)
            }
            Order::Release { service, how, by, .. } => {
                // What the manifests say now, which may not have been applied yet.
                progress.say(&self.order.key(), "reading the manifests");
                let mut options = self.options.clone();
                // A preview has variables of its own, from which it is built.
                let name = match &how.trial {
                    Some(wish) => wish.service(service)?,
                    None => service.clone(),
                };
                options.trials.extend(how.trial.as_ref().map(|wish| (name.clone(), wish.as_trial())));
                options.releases.retain(|one, _| !one.is_trial());
                let options = &options;
                let stack = load::load(paths, options, &mut Locator::default()).map_err(|faults| broken(&faults))?;
                let wanted = stack.topology.services.get(&name).and_then(|spec| stack.app_of(spec));
                let wanted = wanted.ok_or_else(|| format!("{service} has no releases any more"))?;
                if let Some(id) = options.releases.get(service).filter(|_| how.if_changed)
                    && releases::is_of_now(paths, service.as_str(), wanted, id)?
                {
                    return Ok(Some(id.clone()));
                }
                binaries::prepare_tool(paths, &stack.wanted, wanted, progress).await?;
                let deployer = &Deployer::new(*by, how.message.clone());
                let before = BeforeSwitch { paths, options, building: &wanted.building, progress, begun };
                let before = Some(&before).filter(|_| how.prepares());
                let made = match &how.make {
                    Make::Archive(file) => {
                        progress.say(&self.order.key(), "unpacking the archive");
                        releases::land(paths, service.as_str(), wanted, Path::new(file), deployer, before).await
                    }
                    Make::Landed { release, as_built, .. } => {
                        releases::promote(paths, service.as_str(), wanted, release, *as_built, before).await
                    }
                    _ => {
                        let afresh = how.make == Make::Afresh;
                        releases::make(paths, service.as_str(), wanted, afresh, deployer, progress, before).await
                    }
                };
                made.map(Some).map_err(Unavailable::from)
            }
        }
    }
}

/// That the manifests are broken, and where first.
fn broken(faults: &[Diagnostic]) -> String {
    let first = faults.first().map(|fault| fault.problem().to_string()).unwrap_or_default();
    format!("the manifests are broken: {first}; `core check` shows it")
}
