//! Carries out actions: each is one effect, which reports its result.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use core_engine::action::{Action, Hook, RouteTable};
use core_engine::command::Deploying;
use core_engine::event::{Event, Reach, Unreached};
use core_engine::folder::{release_of, shown_folder};
use core_engine::phase::StopReason;
use core_engine::record::Cause;
use core_engine::{InstanceId, InvocationId};
use core_manifest::{Identifier, ServiceName, ServiceSpec};
use tracing::{info, warn};

use super::Supervisor;
use crate::logs::Retention;
use crate::probes::{self, Question, ShellLine};
use crate::{descriptors, edge, hooks, identity, maintenance, net, priority, releases, roles};

impl Supervisor {
    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            // The loop carries these out itself.
            Action::Save | Action::Record(_) | Action::Exit { .. } => {}
            Action::Read { purpose, failed_sources, releases, trials } => {
                self.read(purpose, failed_sources, releases, trials);
            }
            Action::Planned { question, result } => self.askers.planned(question, result),
            Action::Accepted { operation } => self.askers.accepted(operation, self.saving.unsaved()),
            Action::Refused { operation, problems } => self.askers.refused(operation, problems),
            Action::Hold { ports } => self.shims.hold(&ports),
            Action::Direct { instance } => self.shims.direct(&instance),
            Action::KeepLogs { limits } => self.logs.keep(Retention { limits }),
            Action::CutLog { service, segment_bytes } => self.shims.limit_log(&service, segment_bytes),
            Action::Prepare { folder, .. } => self.prepare(&folder),
            Action::MakeRelease { operation, service, how, by } => self.make_release(operation, &service, how, by),
            Action::DropRelease { service, .. } => self.jobs.drop_one(&releases::asked(service.as_str())),
            Action::Hook { service, hook, release, message } => self.hook(service, hook, release, message),
            Action::MarkLive { service, release } => self.mark_live(&service, &release),
            Action::Start(order) => {
                self.prober.forget(&order.invocation.instance);
                self.shims.start(&order);
            }
            Action::Signal { invocation, signal, scope } => self.shims.signal(&invocation, signal, scope),
            Action::ShutdownCommand { invocation, spec, ports, why } => {
                self.shutdown_command(&invocation, &spec, &ports, why);
            }
            Action::Kill { invocation } => self.shims.kill(&invocation),
            Action::Release { instance } => self.release(&instance),
            Action::Connect { instance, line } => self.shims.connect(&instance, line),
            Action::Adopt { line, invocation, spec, replaces } => self.shims.adopt(&invocation, line, &spec, replaces),
            Action::Ask { instance, within } => self.shims.ask(&instance, within),
            Action::Probe { invocation, probe, spec, ports } => {
                let shim = self.shims.shim_pid(&invocation.instance);
                let question = Question { invocation, kind: probe, spec, ports, shim };
                self.prober.ask(&self.paths, &self.shims.environment, question, self.inbox.clone());
            }
            Action::Count { instance, ports } => {
                // If connections cannot be counted, assume one; the drain has a time limit anyway.
                let established = descriptors::with_reserve(|| net::established(&ports)).unwrap_or(1);
                let _ = self.inbox.send(Event::Counted { instance, established });
            }
            Action::Route(table) => self.route(&table),
            Action::TellRole { instance, pid, role } => {
                let adjustment = self.engine.spec(&instance).and_then(|spec| spec.identity.oom_score_adj);
                roles::tell(&self.paths.run, &instance, pid, role, adjustment);
            }
            Action::Yield { pid, yields } => drop(tokio::task::spawn_local(priority::set(pid, yields))),
            Action::Verify(asked) => {
                let (paths, inbox) = (self.paths.clone(), self.inbox.clone());
                let environment = self.shims.environment.clone();
                tokio::task::spawn_local(async move {
                    let reach = edge::verify(&paths, &environment, &asked).await;
                    let _ = inbox.send(Event::Verified { service: asked.service, born: asked.born, reach });
                });
            }
        }
    }

    pub(super) fn write_pointers(&self, table: &RouteTable) -> io::Result<()> {
        // It begins before, and ends after anything else changes for clients.
        if let Some(how) = &table.maintenance {
            let reader = self.reading.known().map(|known| maintenance::Reader(identity::edge_user(&known.topology)));
            maintenance::begin(&self.paths, &table.service, how, reader)?;
        }
        edge::write(&self.paths.edge(), table, self.reading.keys_of(&table.service))?;
        if table.maintenance.is_none() && !table.service.is_trial() {
            maintenance::end(&self.paths, &table.service)?;
        }
        Ok(())
    }

    fn route(&self, table: &RouteTable) {
        if table.trial.is_some() {
            // What was tried before may be of no use any more.
            self.prune_after(table.service.parent(), || {});
        }
        let written = descriptors::with_reserve(|| self.write_pointers(table));
        let result = written.map_err(|error| error.to_string());
        let _ = self.inbox.send(Event::Routed { service: table.service.clone(), version: table.version, result });
    }

    /// Downloads or builds, and reports the result.
    fn prepare(&mut self, folder: &str) {
        let Some(job) = self.job(folder) else {
            // Wanted by the saved state while the manifests are invalid: a folder that landed before is enough.
            let shown = shown_folder(folder);
            let is_pending =
                release_of(folder).is_some_and(|(service, id)| releases::is_pending(&self.paths, service, id));
            let has_landed = self.paths.root.join(&shown).is_dir() && !is_pending;
            let result = if has_landed { Ok(()) } else { Err(format!("nothing is known of {shown}").into()) };
            let _ = self.inbox.send(Event::Prepared { folder: folder.to_owned(), result });
            return;
        };
        self.jobs.begin(job, &self.paths, &self.progress, &self.inbox);
    }

    /// Makes a release of a service, and reports the result.
    fn make_release(&mut self, operation: u64, service: &ServiceName, how: Deploying, by: Cause) {
        let job = self.job_of_release(operation, service, how, by);
        self.jobs.begin(job, &self.paths, &self.progress, &self.inbox);
    }

    /// Runs a hook, in another thread; nothing waits for it.
    fn hook(&self, service: ServiceName, hook: Hook, release: Option<String>, message: Option<String>) {
        if !self.has_hook(&service, hook) {
            return;
        }
        let (paths, options) = (self.paths.clone(), self.options_of_jobs());
        let work = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return warn!(%service, "{} was not run: {error}", hook.word()),
            };
            let (release, message) = (release.as_deref(), message.as_deref());
            runtime.block_on(hooks::after(&paths, &options, &service, hook, release, message));
        };
        if let Err(error) = std::thread::Builder::new().name("hook".into()).spawn(work) {
            warn!("a hook was not run: no thread: {error}");
        }
    }

    /// Names a release as the live one, and reports that.
    fn mark_live(&self, service: &ServiceName, release: &str) {
        let (paths, service, release) = (self.paths.clone(), service.clone(), release.to_owned());
        let inbox = self.inbox.clone();
        self.prune_after(service.clone(), move || {
            if let Err(error) = releases::mark_live(&paths, service.as_str(), &release) {
                warn!(%service, "its live release cannot be marked: {error}");
            }
            let _ = inbox.send(Event::Marked { service: service.clone(), release });
        });
    }

    /// Does something about the releases of a service, and deletes what is old by now, in another thread: a disk may be
    /// slow.
    fn prune_after(&self, service: ServiceName, work: impl FnOnce() + Send + 'static) {
        let (paths, needed) = (self.paths.clone(), self.needed_of(&service));
        tokio::task::spawn_blocking(move || {
            work();
            for line in releases::prune(&paths, service.as_str(), &needed) {
                info!(%service, "{line}");
            }
        });
    }

    fn release(&mut self, instance: &InstanceId) {
        // If the engine has forgotten the instance, its records are removed with its shim.
        let leaves = self.engine.phase(instance).is_none().then(|| self.paths.run.join(instance.to_string()));
        if leaves.is_some() {
            roles::forget(&self.paths.run, instance);
        }
        self.shims.release(instance, leaves);
        self.prober.forget(instance);
    }

    /// Runs the shell line that asks a service to stop, with its environment. An error is logged; then the engine's
    /// deadline takes effect.
    fn shutdown_command(
        &self,
        invocation: &InvocationId,
        spec: &Arc<ServiceSpec>,
        ports: &BTreeMap<Identifier, u16>,
        why: StopReason,
    ) {
        let Some(line) = &spec.shutdown.command else { return };
        let fill = self.shims.environment.fill(&self.paths, &invocation.instance, ports);
        let (line, folder) = (line.fill(&fill), spec.working_dir.fill(&fill));
        let mut env = self.shims.environment.of(spec, &fill);
        env.push(format!("{}={}", crate::STOP_REASON, why.word()).into_bytes());
        let (patience, invocation) = (spec.shutdown.timeout, invocation.clone());
        let identity = identity::numbers(&spec.identity);
        tokio::task::spawn_local(async move {
            let ended = match identity {
                Ok(identity) => {
                    let line = ShellLine { text: line, folder, env, identity };
                    probes::run_shell(line, patience).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(instance = %invocation, "the shutdown command failed: {error}");
            }
        });
    }
}

/// Logs an event, at levels that show by default what a person looks for first.
pub(super) fn note(event: &Event) {
    tracing::trace!(?event);
    match event {
        Event::StartFailed { invocation, failure } => {
            warn!(instance = %invocation, "start failed: {}", failure.of_it());
        }
        Event::Exited { invocation, exit, leftovers: false } => info!(instance = %invocation, "{exit}"),
        Event::Exited { invocation, exit, .. } => {
            info!(instance = %invocation, "{exit}; other processes of it are still running");
        }
        Event::LineBroken { instance, .. } => warn!(%instance, "the connection to its shim broke"),
        Event::ShimStopped { instance } => warn!(%instance, "its shim is stopped"),
        Event::Unreached { instance, why, .. } => match why {
            Unreached::Dead => warn!(%instance, "its shim is dead"),
            Unreached::Silent => warn!(%instance, "its shim does not answer"),
            Unreached::Failed(why) => warn!(%instance, "its shim: {why}"),
        },
        Event::Adopted { instance, life, .. } => info!(%instance, "was taken over: {life}"),
        Event::Prepared { folder, result: Err(error) } => warn!("{}: {}", shown_folder(folder), error.why),
        Event::ReleaseMade { service, result: Ok(release), .. } => info!(%service, "release {release} was made"),
        Event::ReleaseMade { service, result: Err(error), .. } => warn!(%service, "no release was made: {error}"),
        Event::Routed { service, result: Err(error), .. } => warn!(%service, "pointers cannot be written: {error}"),
        Event::Verified { service, reach: Reach::Astray(error), .. } => {
            warn!(%service, "the edge does not reach the new version: {error}");
        }
        Event::Command { operation, command, .. } => info!(operation, "command: {command}"),
        Event::Restored { found, .. } => {
            let found: Vec<String> = found.iter().map(|one| one.instance.to_string()).collect();
            let (supervisor, version) = (std::process::id(), crate::VERSION);
            let found = if found.is_empty() { "nothing".into() } else { found.join(" ") };
            info!(supervisor, version, "started; takes over {found}");
        }
        _ => {}
    }
}
