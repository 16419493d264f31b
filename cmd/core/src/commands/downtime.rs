//! Says before a deploy or a rollback what of it is not without downtime, and why.

use core_host::binaries::Locator;
use core_host::load::{self, Options};
use core_host::paths::Paths;
use core_manifest::ServiceSpec;
use core_manifest::spec::Strategy;

use crate::context::Context;
use crate::render;

/// Says it of the services with releases that are meant. What is wrong with the manifests is said by what comes next.
pub(crate) fn tell(context: &Context, paths: &Paths, service: Option<&str>) {
    let options = Options { profile: Some(context.profile(paths)), ..Options::default() };
    let Ok(stack) = load::load(paths, &options, &mut Locator::default()) else { return };
    for (name, spec) in &stack.topology.services {
        let is_meant = spec.release.is_some() && service.is_none_or(|service| name.as_str() == service);
        if let Some(why) = why(spec).filter(|_| is_meant) {
            render::note(&format!("{name}: {why}"));
        }
    }
}

/// Why requests may be lost.
fn why(spec: &ServiceSpec) -> Option<String> {
    match &spec.update.strategy {
        Strategy::Restart => {
            let reason = spec.update.strategy_reason.clone();
            let reason = reason.unwrap_or_else(|| "`update.strategy` in its manifest is restart".to_owned());
            Some(format!("it is down until the other release is ready: {reason}"))
        }
        _ if spec.readiness.is_none() => {
            Some("the other release gets requests as soon as its process runs: it has no readiness probe".to_owned())
        }
        _ => None,
    }
}
