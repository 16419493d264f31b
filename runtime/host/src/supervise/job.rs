//! A download or a build, in its own thread: unpacking and hashing take seconds, and the loop must not wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use core_engine::event::{Event, Unavailable};
use core_stack::Wanted;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::binaries::{self, Progress};
use crate::paths::Paths;

/// How long a cancelled job may take to end.
const CALLED_OFF: Duration = Duration::from_secs(2);

/// What to download or build.
pub(super) struct Job {
    pub(super) folder: String,
    pub(super) wanted: Wanted,
    /// The tool that it is made with, as its folder in `.dep/` and its source.
    pub(super) tool: Option<(String, Wanted)>,
}

/// Jobs in progress.
#[derive(Default)]
pub(super) struct Jobs(Vec<UnderWay>);

struct UnderWay {
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
        let folder = job.folder.clone();
        let work = move || {
            let done = catch_unwind(AssertUnwindSafe(|| job.carry_out(&paths, &progress, called_off)));
            progress.end(&job.folder);
            let result = done.unwrap_or_else(|_| Some(Err("it ended by a fault of core itself".to_owned().into())));
            if let Some(result) = result {
                let _ = to.send(Event::Prepared { folder: job.folder, result });
            }
            drop(ends);
        };
        match std::thread::Builder::new().name("job".into()).spawn(work) {
            Ok(_) => self.0.push(UnderWay { call, over }),
            Err(error) => {
                let result = Err(format!("it cannot be started: no thread: {error}").into());
                let _ = inbox.send(Event::Prepared { folder, result });
            }
        }
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
        called_off: oneshot::Receiver<()>,
    ) -> Option<Result<(), Unavailable>> {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Some(Err(format!("it cannot be started: {error}").into())),
        };
        let work = tokio::task::LocalSet::new();
        work.block_on(&runtime, async {
            tokio::select! {
                result = self.prepare(paths, progress) => Some(result),
                // Dropping the future kills its programs and deletes its unfinished folder.
                _ = called_off => None,
            }
        })
    }

    async fn prepare(&self, paths: &Paths, progress: &Progress) -> Result<(), Unavailable> {
        if let Some((folder, tool)) = &self.tool {
            progress.say(&self.folder, "waiting for its tools");
            binaries::prepare(paths, folder, tool, progress)
                .await
                .map_err(|error| Unavailable { why: format!("{folder}: {}", error.why), ..error })?;
        }
        binaries::prepare(paths, &self.folder, &self.wanted, progress).await
    }
}
