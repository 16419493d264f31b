//! `core status`

use core_engine::engine::StackState;
use core_engine::folder::shown_folder;
use core_host::api::{CertificateStatus, InstanceStatus, Status};
use core_host::client;

use super::{ask_status, moved, tell};
use crate::cli::StatusArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out, lay_out_within};
use crate::render::words::{bytes, progress, span, wrap};
use crate::render::{self, BOLD, DIM, GREEN, RED, YELLOW, phase_style, styled};

/// How many certificates are shown.
const SHOWN_CERTIFICATES: usize = 10;
/// Columns that a narrow terminal leaves out: CPU, MEMORY, PORTS, RESTARTS.
const SPARE: [usize; 4] = [5, 6, 7, 4];

pub(crate) async fn run(context: &Context, args: &StatusArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let asked = if args.json { client::get(&paths, "/v1/status?host=true").await } else { ask_status(&paths).await };
    let status = match asked {
        Ok(status) => status,
        Err(error) => return tell(&error),
    };
    if args.json {
        render::line(&serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        print(&status);
    }
    if let Some(moved) = moved(&paths) {
        render::note(&format!("{moved}; `core down` ends it, `core up` starts it here"));
    }
    if args.check && status.state != StackState::Running { Exit::Failed } else { Exit::Ok }
}

fn print(status: &Status) {
    render::lines(&lines(status));
}

/// The state of the stack, as lines for people.
pub(crate) fn lines(status: &Status) -> Vec<String> {
    let (word, style) = match status.state {
        StackState::Starting => ("starting", YELLOW),
        StackState::Running => ("running", GREEN),
        StackState::Degraded => ("degraded", RED),
        StackState::Stopping => ("stopping", YELLOW),
        StackState::Stopped => ("stopped", DIM),
    };
    let url = status.url.as_ref().map_or_else(String::new, |url| format!("  {url}"));
    let more = styled(DIM, &format!("profile {}, generation {}", status.profile, status.generation));
    let mut lines = vec![format!("{}{url}  {more}", styled(style.bold(), word))];
    let rows: Vec<Vec<Cell>> = status.instances.iter().map(row).collect();
    let head = ["INSTANCE", "PHASE", "FOR", "PID", "RESTARTS", "CPU", "MEMORY", "PORTS", ""];
    lines.extend(lay_out_within(&head, &rows, render::width(), &SPARE).concat());
    lines.extend(certificates(&status.certificates));
    for (service, how) in &status.maintenance {
        let held = how.hold.map_or_else(String::new, |seconds| format!(", requests are held for up to {seconds} s"));
        let allowed = if how.allow.is_empty() { String::new() } else { format!(", but for {}", how.allow.join(", ")) };
        let word = styled(YELLOW, "in maintenance");
        lines
            .push(format!("{} {word}{held}{allowed}: `core maintenance off {service}` ends it", styled(BOLD, service)));
    }
    for job in &status.jobs {
        let (what, folder) = (styled(YELLOW, &job.what), styled(BOLD, &shown_folder(&job.folder)));
        lines.push(format!("{what} {folder} {}", progress(job.done, job.total)).trim_end().to_owned());
    }
    if let Some(other) = other_program(status) {
        let text = format!("{other}; `core up` moves it to {}", core_host::VERSION);
        lines.extend(wrap(&text, render::width()).iter().map(|line| styled(YELLOW, line)));
    }
    lines.extend(status.problems.iter().map(render::diagnostics::problem));
    lines
}

/// The certificates of the edge, those that end first before the others.
fn certificates(all: &[CertificateStatus]) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<&CertificateStatus> = all.iter().collect();
    all.sort_by_key(|one| (one.not_after.clone(), one.name.clone()));
    let rows = all.iter().take(SHOWN_CERTIFICATES).map(|one| {
        let end = one.not_after.as_deref().map_or_else(|| "not there yet".to_owned(), until);
        vec![Cell::new(&one.name), Cell::new(one.issuer.clone().unwrap_or_default()), Cell::new(end).style(DIM)]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut lines = vec![String::new()];
    lines.extend(lay_out(&["CERTIFICATE", "ISSUER", "ENDS"], &rows, render::width()));
    let more = all.len().saturating_sub(SHOWN_CERTIFICATES);
    if more > 0 {
        lines.push(styled(DIM, &format!("and {more} more, which end later: core status --json")));
    }
    lines.push(String::new());
    lines
}

/// The time that is left until `time`.
fn until(time: &str) -> String {
    let Ok(end) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    let (day, hour) = (24 * 3600, 3600);
    match left {
        ..0 => "expired".to_owned(),
        left if left >= 2 * day => format!("in {} days", left / day),
        left if left >= 2 * hour => format!("in {} hours", left / hour),
        left => format!("in {} minutes", left / 60),
    }
}

/// A message if the supervisor is another program than this one: another version, or one whose file was removed.
pub(crate) fn other_program(status: &Status) -> Option<String> {
    let version = status.version.as_ref();
    let program = status.program.as_ref();
    let is_deleted = program.is_some_and(|program| program.deleted);
    if version.is_some_and(|version| version == core_host::VERSION) && !is_deleted {
        return None;
    }
    let version = version.map_or_else(|| "an older core".to_owned(), |version| format!("core {version}"));
    let path = program.map_or_else(String::new, |program| format!(" of {}", program.path));
    let gone = if is_deleted { ", whose file is gone or replaced" } else { "" };
    Some(format!("this stack is run by {version}{path}{gone}"))
}

fn row(instance: &InstanceStatus) -> Vec<Cell> {
    let mut ports: Vec<String> = instance.ports.values().map(u16::to_string).collect();
    // What is open for TCP and UDP is one port to people.
    ports.dedup();
    let restarts = if instance.restarts == 0 { String::new() } else { instance.restarts.to_string() };
    let waiting = instance.waiting_on.first().map(|waiting| match waiting.code.as_str() {
        // The rest of the message is in the build's log, which this line names, and in `core why`.
        "binary_failed" => waiting.message.lines().next().unwrap_or_default().to_owned(),
        _ => waiting.message.clone(),
    });
    let detail = waiting.or_else(|| instance.detail.clone());
    let detail = detail.or_else(|| instance.status.clone());
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

/// The time that has passed since `time`.
pub(crate) fn since(time: Option<&str>) -> String {
    let Some(time) = time.and_then(|time| time.parse::<jiff::Timestamp>().ok()) else { return String::new() };
    let ago = jiff::Timestamp::now().duration_since(time);
    span(ago.try_into().unwrap_or_default())
}
