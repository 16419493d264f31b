//! `core why`

use core_engine::phase::PhaseName;
use core_host::api::{InstanceStatus, Why, WhyStep};
use core_host::client::{self, ClientError};
use core_host::releases;

use super::status::since;
use super::tell;
use crate::cli::WhyArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, BOLD, DIM, phase_style, styled, words};

pub(crate) async fn run(context: &Context, args: &WhyArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let asked: Result<Why, ClientError> = client::get(&paths, &format!("/v1/why/{}", args.service)).await;
    let why = match asked {
        Ok(why) => why,
        Err(error) => return tell(&error),
    };
    if args.json {
        render::line(&serde_json::to_string_pretty(&why).unwrap_or_default());
        return Exit::Ok;
    }
    let releases = releases::list(&paths, None).releases;
    let wanted = |service: &str| releases.iter().find(|one| one.wanted && one.record.service == service);
    for step in &why.steps {
        let wanted = wanted(&step.instance.service).map(|one| one.record.id.as_str());
        for line in lines(step, wanted, render::width().saturating_sub(4 * step.depth)) {
            render::line(&format!("{}{line}", "    ".repeat(step.depth)));
        }
    }
    Exit::Ok
}

/// One instance: its phase, what it waits for, and, if it is the root cause, everything that is known about it.
fn lines(step: &WhyStep, wanted: Option<&str>, width: usize) -> Vec<String> {
    let instance = &step.instance;
    let phase = styled(phase_style(instance), instance.phase.word());
    let mut all = vec![format!("{} is {phase} {}", styled(BOLD, &instance.id), age(instance))];
    let mut say = |text: &str| {
        let lines = words::wrap(text, width.saturating_sub(4)).into_iter().enumerate();
        all.extend(lines.map(|(at, line)| format!("{}{line}", if at == 0 { "  " } else { "    " })));
    };
    if let Some(release) = &instance.release {
        let other = wanted.filter(|wanted| wanted != release);
        let other = other.map_or_else(String::new, |other| format!("; {other} is wanted"));
        say(&format!("it runs release {release}{other}"));
    }
    for waiting in &instance.waiting_on {
        say(&waiting.message);
    }
    if instance.waiting_on.is_empty()
        && let Some(detail) = instance.detail.as_ref().filter(|detail| Some(*detail) != step.last_probe.as_ref())
    {
        say(detail);
    }
    if let Some(answer) = &step.last_probe {
        say(&format!("its probe last said: {answer}"));
    }
    if let Some(code) = instance.exit_code.filter(|_| instance.phase != PhaseName::Ended) {
        say(&format!("it last ended with {code}; restarts: {}", instance.restarts));
    }
    // Verbatim, because whitespace may matter.
    all.extend(step.last_lines.iter().map(|line| format!("  {} {line}", styled(DIM, "|"))));
    all
}

fn age(instance: &InstanceStatus) -> String {
    styled(DIM, &format!("for {}", since(instance.since.as_deref())))
}
