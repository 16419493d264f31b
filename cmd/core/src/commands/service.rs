//! `core <SERVICE> spec | run | command`

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use core_engine::InstanceId;
use core_engine::folder::shown_folder;
use core_engine::ids::Generation;
use core_host::binaries::{self, Progress};
use core_host::environment::Environment;
use core_host::fill::{InstanceFill, fill_of};
use core_host::identity;
use core_host::paths::Paths;
use core_host::releases;
use core_manifest::{Identifier, ServiceSpec, name};
use core_stack::Stack;
use core_stack::shell::quoted;

use super::{apart, ask_status};
use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(context: &Context, words: &[OsString]) -> Exit {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (first, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let (verb, options) = rest.split_first().map_or(("", &[][..]), |(verb, options)| (verb.as_str(), options));
    if !["spec", "run", "command"].contains(&verb) {
        return unknown(context, first, verb);
    }
    let explain = options == ["--explain"];
    let takes_them = options.is_empty() || (verb == "spec" && explain);
    if !takes_them {
        render::error(&format!("`core {first} {verb}` does not take `{}`", options.join(" ")));
        return Exit::Usage;
    }
    let loaded = context.paths().and_then(|paths| {
        let stack = if verb == "run" { context.load_to_run(&paths) } else { context.load(&paths) };
        stack.map(|stack| (paths, stack))
    });
    let (paths, stack) = match loaded {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let Some(spec) = stack.topology.services.get(first).cloned() else {
        return unknown(context, first, verb);
    };
    match verb {
        "spec" if explain => explain_spec(&stack, &spec),
        "spec" => print_spec(&stack, &spec),
        "command" => {
            let (fill, _) = filled(&paths, &spec).await;
            render::line(&stack.hidden.cover(&command_line(&spec, &fill)));
            Exit::Ok
        }
        _ => run_here(&paths, &stack, &spec).await,
    }
}

/// Reports a word that is neither a command nor a service, and what was probably meant.
fn unknown(context: &Context, first: &str, verb: &str) -> Exit {
    use clap::CommandFactory;
    let services = context.paths().map(|paths| paths.service_names()).unwrap_or_default();
    if services.iter().any(|service| service == first) {
        render::error(&match verb {
            "" => format!("`core {first}` wants one more word"),
            verb => format!("core {first}: there is no `{verb}`"),
        });
        render::help(&format!("core {first} spec | run | command"));
        return Exit::Usage;
    }
    let commands: Vec<String> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let known = commands.iter().chain(&services).map(String::as_str);
    render::error(&format!("there is no command and no service `{first}`"));
    match name::nearest(first, known) {
        Some(guess) => render::help(&format!("did you mean `core {guess}`?")),
        None => render::help("core --help shows all commands"),
    }
    Exit::Usage
}

/// Prints the spec as JSON, without secrets.
fn print_spec(stack: &Stack, spec: &ServiceSpec) -> Exit {
    let mut value = serde_json::to_value(spec).unwrap_or_default();
    // Digests by which the engine notices an edit of a value.
    value.as_object_mut().map(|fields| fields.remove("values"));
    stack.hidden.cover_all(&mut value);
    render::line(&serde_json::to_string_pretty(&value).unwrap_or_default());
    Exit::Ok
}

/// Prints where each value of the spec comes from.
fn explain_spec(stack: &Stack, spec: &ServiceSpec) -> Exit {
    for (path, value, place) in core_stack::origins(stack, &spec.name) {
        render::line(&format!("{path} = {value}  {}", render::styled(render::DIM, &place)));
    }
    Exit::Ok
}

/// The values of the first replica: those of a running instance, or else of generation 0; unknown ports are 0.
async fn filled(paths: &Paths, spec: &ServiceSpec) -> (InstanceFill, BTreeMap<Identifier, u16>) {
    let running = ask_status(paths).await.ok();
    let running = running.and_then(|status| {
        status.instances.into_iter().find(|instance| instance.service == spec.name.as_str() && instance.pid.is_some())
    });
    let mut ports = BTreeMap::new();
    let mut id = InstanceId::new(spec.name.clone(), 0, Generation(0));
    if let Some(instance) = running {
        id = instance.id.parse().unwrap_or(id);
        for (name, port) in instance.ports {
            if let Ok(name) = Identifier::new(&name) {
                ports.insert(name, port);
            }
        }
    }
    for name in spec.ports.iter().filter(|(_, port)| port.number.is_none()).map(|(name, _)| name) {
        ports.entry(name.clone()).or_insert(0);
    }
    (fill_of(paths, &id, &ports), ports)
}

/// The command line, quoted for a shell.
fn command_line(spec: &ServiceSpec, fill: &InstanceFill) -> String {
    let mut words = vec![spec.command.fill(fill)];
    if spec.shell {
        words = vec!["sh".into(), "-c".into(), words.remove(0)];
    }
    words.extend(spec.args.iter().map(|arg| arg.fill(fill)));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Runs the service in the foreground, with its environment and working directory, without the rest of the stack.
async fn run_here(paths: &Paths, stack: &Stack, spec: &ServiceSpec) -> Exit {
    let progress = Progress::default();
    for binary in spec.binaries.values() {
        let Some(folder) = &binary.folder else { continue };
        let Some(wanted) = stack.wanted.get(folder) else { continue };
        let mut landed = binaries::prepare_tool(paths, &stack.wanted, wanted, &progress).await;
        if landed.is_ok() {
            landed = releases::provide(paths, folder, wanted, &progress).await.map_err(|error| error.why);
        }
        if let Err(error) = landed {
            render::error(&format!("{}: {error}", shown_folder(folder)));
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
    let command = spec.command.fill(&fill);
    let mut process = if spec.shell {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(command);
        shell
    } else {
        let mut process = std::process::Command::new(command);
        process.args(spec.args.iter().map(|arg| arg.fill(&fill)));
        process
    };
    process.current_dir(spec.working_dir.fill(&fill)).env_clear();
    for pair in Environment::inherited().of(spec, &fill) {
        use std::os::unix::ffi::OsStringExt;
        if let Some(at) = pair.iter().position(|byte| *byte == b'=') {
            process.env(OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(pair[at + 1..].to_vec()));
        }
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
    render::error(&format!("{}: {error}", spec.command.fill(&fill)));
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
