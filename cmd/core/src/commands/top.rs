//! `core top`: how the services answer, by what the edge writes down of each request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use core_host::logs::access::figures::{Figures, Window};
use core_host::logs::access::{self, Follower, now_ns};
use core_host::paths::Paths;
use core_host::uptime::{self, Day};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access as access_log;
use super::{logs, tell_no_signals};
use crate::cli::TopArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::render::frame::Frame;
use crate::render::table::{Cell, lay_out_within};
use crate::render::words::{bytes, took};
use crate::render::{self, BOLD, DIM, RED, YELLOW};

/// How often it is drawn anew.
const PAUSE: Duration = Duration::from_secs(1);
/// How often what checks have found is read anew.
const CHECKED: Duration = Duration::from_secs(30);
/// The head of the table; the last column is for texts.
const HEAD: [&str; 9] = ["SERVICE", "REQ/S", "5XX", "4XX", "P50", "P99", "SENT/S", "UP 24H", ""];
/// Columns that are left out first on a narrow terminal.
const SPARE: [usize; 3] = [6, 4, 3];

/// A service, its figures, and what checks have found.
type Row = (String, Figures, Option<Day>);

pub(crate) async fn run(context: &Context, args: &TopArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    if let Err(exit) = logs::check_services(&paths, &access_log::services(&args.services)) {
        return exit;
    }
    let mut frame = Frame::new();
    if args.once || args.json || !frame.is_redrawn() {
        return once(&paths, args);
    }
    let mut interrupt = match Interrupt::new() {
        Ok(interrupt) => interrupt,
        Err(error) => return tell_no_signals(&error),
    };
    tokio::select! {
        exit = watch(&paths, args, &mut frame) => exit,
        // An interrupt is the normal end of this command.
        _ = interrupt.next() => Exit::Ok,
    }
}

fn once(paths: &Paths, args: &TopArgs) -> Exit {
    if !access::is_there(paths) {
        return access_log::tell_missing();
    }
    let (mut window, _) = begin(paths, args);
    let (rows, total) = window.read(now_ns());
    let rows = with_days(rows, &days(paths, args));
    if args.json {
        let service = |(service, figures, day): Row| {
            let mut shown = json!(figures);
            if let Some(day) = day {
                shown["uptime"] = json!(day);
            }
            (service, shown)
        };
        let services: serde_json::Map<String, Value> = rows.into_iter().map(service).collect();
        render::line(&json!({"window_seconds": args.window, "services": services, "total": total}).to_string());
    } else {
        render::lines(&lines(args, &rows, &total));
    }
    Exit::Ok
}

async fn watch(paths: &Paths, args: &TopArgs, frame: &mut Frame) -> Exit {
    let (mut window, mut follower) = begin(paths, args);
    let (mut days_of, mut read_at) = (days(paths, args), Instant::now());
    loop {
        if read_at.elapsed() > CHECKED {
            (days_of, read_at) = (days(paths, args), Instant::now());
        }
        let (rows, total) = window.read(now_ns());
        // The output is closed.
        if frame.draw(&lines(args, &with_days(rows, &days_of), &total)).is_err() {
            return Exit::Ok;
        }
        tokio::time::sleep(PAUSE).await;
        for entry in follower.more() {
            window.add(&entry);
        }
    }
}

/// What checks of the last day have found, of the services that are shown.
fn days(paths: &Paths, args: &TopArgs) -> BTreeMap<String, Day> {
    let mut all = uptime::read(&paths.uptime(), Timestamp::now());
    all.retain(|service, _| args.services.is_empty() || args.services.contains(service));
    all
}

/// The figures of each service that was asked anything, or checked.
fn with_days(rows: Vec<(String, Figures)>, days: &BTreeMap<String, Day>) -> Vec<Row> {
    let mut all: BTreeMap<String, Figures> = days.keys().map(|service| (service.clone(), Figures::default())).collect();
    all.extend(rows);
    all.into_iter().map(|(service, figures)| (service.clone(), figures, days.get(&service).cloned())).collect()
}

fn begin(paths: &Paths, args: &TopArgs) -> (Window, Follower) {
    let (entries, follower) = Follower::since(paths, &args.services, f64::from(args.window));
    let mut window = Window::new(f64::from(args.window));
    for entry in &entries {
        window.add(entry);
    }
    (window, follower)
}

fn lines(args: &TopArgs, rows: &[Row], total: &Figures) -> Vec<String> {
    let mut table: Vec<Vec<Cell>> =
        rows.iter().map(|(service, figures, day)| row(Cell::new(service), figures, day.as_ref())).collect();
    // A single one is the total.
    if rows.len() != 1 {
        table.push(row(Cell::new("total").style(BOLD), total, None));
    }
    let about = format!("answers of the last {} s", args.window);
    let mut lines = vec![render::styled(DIM, &about)];
    lines.extend(lay_out_within(&HEAD, &table, render::width(), &SPARE).concat());
    lines
}

fn row(name: Cell, figures: &Figures, day: Option<&Day>) -> Vec<Cell> {
    let time = |ms: Option<f64>| Cell::new(ms.map(|ms| took(ms / 1e3)).unwrap_or_default()).right();
    let share = |count: usize, percent: f64, style| match count {
        0 => Cell::new("0").style(DIM).right(),
        _ => Cell::new(format!("{percent:.1}%")).style(style).right(),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole bytes for people")]
    let sent = bytes(figures.bytes_per_second as u64);
    vec![
        name,
        Cell::new(format!("{:.1}", figures.per_second)).right(),
        share(figures.server_errors, figures.server_error_percent, RED),
        share(figures.client_errors, figures.client_error_percent, YELLOW),
        time(figures.p50_ms),
        time(figures.p99_ms),
        Cell::new(sent).right(),
        up(day),
        Cell::new(""),
    ]
}

/// The share of good answers in the last day; never all, if one was not.
fn up(day: Option<&Day>) -> Cell {
    match day {
        None => Cell::new("").right(),
        Some(day) if day.failed == 0 => Cell::new("100%").right(),
        Some(day) => Cell::new(format!("{:.2}%", day.percent.min(99.99))).style(YELLOW).right(),
    }
}
