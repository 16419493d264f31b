//! Runs a service, or a command in its place, in the foreground and without the rest of the stack.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;

use core_engine::InstanceId;
use core_engine::folder::{release_of, shown_folder};
use core_engine::ids::Generation;
use core_host::binaries::{self, Progress};
use core_host::environment::{Environment, put_binaries_first};
use core_host::fill::{InstanceFill, fill_of};
use core_host::identity;
use core_host::paths::Paths;
use core_host::releases;
use core_manifest::{Identifier, ServiceSpec};
use core_stack::Stack;

use super::apart;
use crate::exit::Exit;
use crate::render;

/// Runs the service, or these words instead of its own command, with its environment, in its folder and as its user.
pub(crate) async fn run(paths: &Paths, stack: &Stack, spec: &ServiceSpec, words: Option<&[String]>) -> Exit {
    let progress = Progress::default();
    for binary in spec.binaries.values() {
        let Some(folder) = &binary.folder else { continue };
        let Some(wanted) = stack.wanted.get(folder) else { continue };
        let mut landed = binaries::prepare_tool(paths, &stack.wanted, wanted, &progress).await;
        if landed.is_ok() {
            landed = releases::provide(paths, folder, wanted, &progress).await;
        }
        if let Err(error) = landed {
            render::error(&format!("{}: {}", shown_folder(folder), error.why));
            return Exit::Failed;
        }
        if release_of(folder).is_some_and(|(service, id)| releases::is_pending(paths, service, id)) {
            render::error(&format!("{}: its release_command was not run yet", shown_folder(folder)));
            render::help("`core up` runs it, or `core deploy`");
            return Exit::Failed;
        }
    }
    let opened = match Paths::open(&paths.root) {
        Ok(opened) => opened,
        Err(error) => {
            render::error(&error.to_string());
            return Exit::Failed;
        }
    };
    let ports: BTreeMap<Identifier, u16> = spec
        .ports
        .iter()
        .filter(|(_, port)| port.number.is_none())
        .filter_map(|(name, _)| Some((name.clone(), free_port()?)))
        .collect();
    // Beside the run folders of the instances, under a name that no service can have.
    let run = format!("run-{}-{}", spec.name, std::process::id());
    let folder = opened.run.join(&run);
    let fill = fill_of(&opened, &InstanceId::new(spec.name.clone(), 0, Generation(0)), &ports);
    let fill = fill.with_run(&folder);
    if let Err(error) = write_files(&folder, spec, &fill) {
        render::error(&format!("{}: {error}", folder.display()));
        return Exit::Failed;
    }
    let command = words.and_then(<[String]>::first).cloned().unwrap_or_else(|| spec.command.fill(&fill));
    // A static export has no server of its own.
    let export = releases::command(&opened, spec, &ports).filter(|_| words.is_none());
    let words = export.as_deref().or(words);
    let command = words.and_then(<[String]>::first).cloned().unwrap_or(command);
    let mut process = if let Some(words) = words {
        let mut process = std::process::Command::new(&command);
        process.args(words.iter().skip(1));
        process
    } else if spec.shell {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(&command);
        shell
    } else {
        let mut process = std::process::Command::new(&command);
        process.args(spec.args.iter().map(|arg| arg.fill(&fill)));
        process
    };
    let folder =
        words.and_then(|_| releases::folder(paths, spec)).unwrap_or_else(|| spec.working_dir.fill(&fill).into());
    process.current_dir(folder);
    Environment::inherited().put_on(&mut process, spec, &fill);
    if words.is_some() {
        put_binaries_first(&mut process, spec);
    }
    match identity::numbers(&spec.identity) {
        Ok(numbers) => identity::assume(&mut process, numbers),
        Err(error) => {
            render::error(&error);
            return Exit::Failed;
        }
    }
    // The service must not inherit the files that the user's shell has open.
    let _ = core_shim::sys::close_on_exec_from(3);
    let error = if spec.identity.user.is_some() {
        match apart::run(process).await {
            Ok(exit) => return exit,
            Err(error) => error,
        }
    } else {
        process.exec()
    };
    render::error(&format!("{command}: {error}"));
    Exit::Failed
}

fn write_files(folder: &std::path::Path, spec: &ServiceSpec, fill: &InstanceFill) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in &spec.files {
        let path = folder.join(file.path.fill(fill));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, file.contents.fill(fill))?;
    }
    Ok(())
}

fn free_port() -> Option<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
    listener.local_addr().ok().map(|address| address.port())
}
