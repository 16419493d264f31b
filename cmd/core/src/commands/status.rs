//! `core status`

use core_engine::engine::StackState;
use core_engine::phase::PhaseName;
use core_host::api::{InstanceStatus, Status};

use super::{ask_status, tell};
use crate::cli::StatusArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out};
use crate::render::words::{bytes, span};
use anstyle::Style;

use crate::render::{self, BOLD, DIM, GREEN, RED, YELLOW, styled};

pub(crate) async fn run(context: &Context, args: &StatusArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let status = match ask_status(&paths).await {
        Ok(status) => status,
        Err(error) => return tell(&error),
    };
    if args.json {
        render::line(&serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        print(&status);
    }
    if args.check && status.state != StackState::Running { Exit::Failed } else { Exit::Ok }
}

/// The state for people.
pub(crate) fn print(status: &Status) {
    let (word, style) = match status.state {
        StackState::Starting => ("starting", YELLOW),
        StackState::Running => ("running", GREEN),
        StackState::Degraded => ("degraded", RED),
        StackState::Stopping => ("stopping", YELLOW),
        StackState::Stopped => ("stopped", DIM),
    };
    let url = status.url.as_ref().map_or_else(String::new, |url| format!("  {url}"));
    let more = styled(DIM, &format!("profile {}, generation {}", status.profile, status.generation));
    render::line(&format!("{}{url}  {more}", styled(style.bold(), word)));
    let rows: Vec<Vec<Cell>> = status.instances.iter().map(row).collect();
    let head = ["INSTANCE", "PHASE", "FOR", "PID", "RESTARTS", "CPU", "MEMORY", "PORTS", ""];
    for line in lay_out(&head, &rows, render::width()) {
        render::line(&line);
    }
    for job in &status.jobs {
        render::line(&format!("{} {}", styled(YELLOW, &job.what), styled(BOLD, &format!(".dep/{}", job.folder))));
    }
    for problem in &status.problems {
        render::line(&render::diagnostics::problem(problem));
    }
}

fn row(instance: &InstanceStatus) -> Vec<Cell> {
    let ports: Vec<String> = instance.ports.values().map(u16::to_string).collect();
    let restarts = if instance.restarts == 0 { String::new() } else { instance.restarts.to_string() };
    let detail = instance.waiting_on.first().map(|waiting| waiting.message.clone()).or_else(|| instance.detail.clone());
    vec![
        Cell::new(&instance.id),
        Cell::new(instance.phase.word()).style(phase_style(instance)),
        Cell::new(since(instance.since.as_deref())).right(),
        Cell::new(instance.pid.map(|pid| pid.to_string()).unwrap_or_default()).right(),
        Cell::new(restarts).right(),
        Cell::new(instance.cpu_percent.map(|cpu| format!("{cpu:.1}%")).unwrap_or_default()).right(),
        Cell::new(instance.memory_bytes.map(bytes).unwrap_or_default()).right(),
        Cell::new(ports.join(" ")),
        Cell::new(detail.unwrap_or_default()).style(DIM),
    ]
}

/// Colour of an instance's phase.
pub(crate) fn phase_style(instance: &InstanceStatus) -> Style {
    match instance.phase {
        PhaseName::Ready => GREEN,
        PhaseName::Ended if instance.ready => GREEN,
        PhaseName::Ended => DIM,
        PhaseName::Backoff | PhaseName::GaveUp => RED,
        _ => YELLOW,
    }
}

/// How long ago a time was.
pub(crate) fn since(time: Option<&str>) -> String {
    let Some(time) = time.and_then(|time| time.parse::<jiff::Timestamp>().ok()) else { return String::new() };
    let ago = jiff::Timestamp::now().duration_since(time);
    span(ago.try_into().unwrap_or_default())
}
