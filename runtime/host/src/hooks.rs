//! What a manifest has run around a deploy: migrations before a release serves, and hooks.
//!
//! Each is a shell line, with the environment of its service, in the folder of the release. `release.json` is on its
//! standard input, together with what it is about.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use core_engine::InstanceId;
use core_engine::action::Hook;
use core_engine::folder::folder_of;
use core_engine::ids::Generation;
use core_manifest::manifest::config::Hooks;
use core_manifest::{ServiceName, ServiceSpec};
use core_stack::{Building, Stack};
use serde_json::{Value, json};

use crate::binaries::fence::Limits;
use crate::binaries::log::Log;
use crate::binaries::{Locator, Progress, run};
use crate::environment::{Environment, put_binaries_first};
use crate::fill::fill_of;
use crate::load::{self, Options};
use crate::paths::Paths;
use crate::{identity, releases};

/// What is run before a release serves that has landed.
pub(crate) struct BeforeSwitch<'a> {
    pub(crate) paths: &'a Paths,
    pub(crate) options: &'a Options,
    pub(crate) building: &'a Building,
    pub(crate) progress: &'a Progress,
    /// Set once something of it runs: it is not to be cut off half-way.
    pub(crate) begun: &'a AtomicBool,
}

impl releases::Finish for BeforeSwitch<'_> {
    async fn finish(&self, service: &str, release: &str) -> Result<(), String> {
        let name = ServiceName::made(service).map_err(|error| format!("{service} {error}"))?;
        let serves = self.options.releases.get(&name).is_some_and(|wanted| wanted == release);
        let is_new = releases::is_pending(self.paths, service, release);
        if !self.building.prepares_switch() || serves && !is_new {
            return Ok(());
        }
        let place = Place::of(self.paths, self.options, name, Some(release))?;
        self.begun.store(true, Ordering::Relaxed);
        let folder = folder_of(service, release);
        let mut log = Log::go_on(self.paths, &folder).await?;
        let steps = [
            ("release_command", &self.building.release_command),
            ("before_switch", &self.building.hooks.before_switch),
        ];
        for (title, line) in steps {
            if let Some(line) = line {
                self.progress.say(&folder, &format!("running {title}"));
                place.run(title, line, None, &self.building.hooks, &mut log).await?;
            }
        }
        Ok(())
    }
}

/// Runs a hook that follows a deploy or a rollback, if the manifest has one. A failure is logged: nothing waits for it.
pub(crate) async fn after(
    paths: &Paths,
    options: &Options,
    service: &ServiceName,
    hook: Hook,
    release: Option<&str>,
    message: Option<&str>,
) {
    let run = async || {
        let place = Place::of(paths, options, service.clone(), release)?;
        let Some(wanted) = place.stack.app_of(&place.spec) else { return Ok(()) };
        let hooks = &wanted.building.hooks;
        let Some(line) = line(hooks, hook) else { return Ok(()) };
        let mut log = Log::begin(paths, &folder_of(service.as_str(), hook.word())).await?;
        place.run(hook.word(), line, message, hooks, &mut log).await
    };
    let done: Result<(), String> = run().await;
    if let Err(error) = done {
        tracing::warn!(%service, "{error}");
    }
}

/// The line of a hook that follows a deploy or a rollback, if the manifest has one.
pub(crate) fn line(hooks: &Hooks, hook: Hook) -> Option<&str> {
    let line = match hook {
        Hook::AfterSwitch => &hooks.after_switch,
        Hook::OnFailure => &hooks.on_failure,
        Hook::OnRollback => &hooks.on_rollback,
    };
    line.as_deref()
}

/// Where it is run, and with what.
struct Place {
    paths: Paths,
    stack: Stack,
    spec: ServiceSpec,
    /// What is on the standard input.
    about: Value,
}

impl Place {
    /// With the manifests as they are now, as if the service ran this release.
    fn of(paths: &Paths, options: &Options, service: ServiceName, release: Option<&str>) -> Result<Self, String> {
        let mut options = options.clone();
        if let Some(release) = release {
            options.releases.insert(service.clone(), release.to_owned());
        }
        let stack = load::load(paths, &options, &mut Locator::default())
            .map_err(|_| "the manifests are broken: `core check` shows where".to_owned())?;
        let spec = stack.topology.services.get(&service).ok_or_else(|| format!("there is no service `{service}`"))?;
        let spec = spec.as_ref().clone();
        let file = |release: &str| paths.releases().join(service.as_str()).join(release).join("release.json");
        let about = release.and_then(|release| fs::read(file(release)).ok());
        let about = about.and_then(|text| serde_json::from_slice(&text).ok());
        let about = about.unwrap_or_else(|| json!({"service": service.as_str()}));
        Ok(Self { paths: paths.clone(), stack, spec, about })
    }

    /// Runs one line to its end. If it fails, the end of its output is the error.
    async fn run(
        &self,
        title: &str,
        line: &str,
        message: Option<&str>,
        hooks: &Hooks,
        log: &mut Log,
    ) -> Result<(), String> {
        let mut about = self.about.clone();
        about["hook"] = json!(title);
        if let Some(message) = message {
            about["message"] = json!(message);
        }
        let failed = |error: std::io::Error| format!("{title}: {error}");
        let mut command = run::command("/bin/sh".as_ref());
        command.arg("-c").arg(line).stdin(run::input(about.to_string()).map_err(failed)?);
        let instance = InstanceId::new(self.spec.name.clone(), 0, Generation(0));
        let fill = fill_of(&self.paths, &instance, &std::collections::BTreeMap::new());
        let folder = releases::folder(&self.paths, &self.spec).unwrap_or_else(|| PathBuf::from(&self.paths.root));
        command.current_dir(folder);
        Environment::inherited().put_on(command.as_std_mut(), &self.spec, &fill);
        put_binaries_first(command.as_std_mut(), &self.spec);
        command.env("CORE_HOOK", title);
        identity::assume(command.as_std_mut(), identity::numbers(&self.spec.identity)?);
        run::dies_with_us(&mut command);
        log.run_within(title, &mut command, Limits { memory_mib: None, time: hooks.longest() }).await
    }
}
