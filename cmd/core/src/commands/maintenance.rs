//! `core maintenance`

use core_engine::maintenance::Maintenance;
use core_host::api::MaintainRequest;
use core_host::maintenance;
use core_host::paths::Paths;

use super::control;
use super::{ask_progress, previews};
use crate::cli::{MaintenanceArgs, MaintenanceCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(context: &Context, args: &MaintenanceArgs) -> Exit {
    let request = match &args.command {
        MaintenanceCommand::On { services, hold, allow } => {
            let hold = hold.as_ref().and_then(|seconds| seconds.parse().ok());
            MaintainRequest { services: services.clone(), how: Some(Maintenance { hold, allow: allow.clone() }) }
        }
        MaintenanceCommand::Off { services } => MaintainRequest { services: services.clone(), how: None },
    };
    let exit = control::carry_out_soon(context, "maintain", &request).await;
    if exit == Exit::Ok
        && request.how.is_some()
        && let Ok(paths) = context.paths()
    {
        tell_links(context, &paths).await;
    }
    exit
}

/// Prints the addresses that let a browser in.
async fn tell_links(context: &Context, paths: &Paths) {
    let (Ok(status), Ok(stack)) = (ask_progress(paths).await, context.load(paths)) else { return };
    for name in status.maintenance.keys() {
        let spec = stack.topology.services.values().find(|spec| spec.name.as_str() == name);
        let Some(route) = spec.and_then(|spec| spec.route.as_ref()) else { continue };
        let hosts = route.hosts.iter().chain(&route.own_hosts).filter(|host| !host.contains('*'));
        let host = hosts.map(String::as_str).next().unwrap_or("localhost").to_owned();
        let path = route.paths.first().map_or("/", String::as_str);
        match maintenance::link(paths, name) {
            Ok(link) => {
                for url in previews::addresses(&[host], path, &status) {
                    render::line(&format!("{name} is in maintenance; whoever opens this sees it: {url}{link}"));
                }
            }
            Err(error) => render::note(&format!("{name} is in maintenance; its link cannot be read: {error}")),
        }
    }
}
