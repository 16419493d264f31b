//! `core <SERVICE> spec | run | command`

use std::collections::BTreeMap;
use std::ffi::OsString;

use core_engine::InstanceId;
use core_engine::ids::Generation;
use core_host::fill::{InstanceFill, fill_of};
use core_host::paths::Paths;
use core_manifest::{Identifier, ServiceSpec, name};
use core_stack::Stack;
use core_stack::shell::quoted;

use super::{ask_status, here};
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
        _ => here::run(&paths, &stack, &spec, None).await,
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
