//! `core status --watch`

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use core_host::api::Status;
use core_host::client::{self, ClientError};
use core_host::last_resort;
use core_host::paths::Paths;

use super::{ask_status, status, tell, tell_no_signals};
use crate::cli::StatusArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::render::frame::Frame;
use crate::render::{DIM, YELLOW, styled};

/// How long the supervisor delays its answer while nothing changes, in seconds.
const HELD_BACK: f64 = 1.0;
/// The pause between two requests, so that a burst of changes does not become a burst of redraws.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a dead supervisor may take to be replaced before that is shown.
const ABSENCE: Duration = Duration::from_millis(1500);

pub(crate) async fn run(context: &Context, args: &StatusArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let mut interrupt = match Interrupt::new() {
        Ok(interrupt) => interrupt,
        Err(error) => return tell_no_signals(&error),
    };
    let mut frame = Frame::new();
    tokio::select! {
        exit = watch(&paths, args.json, &mut frame) => exit,
        // An interrupt is the normal end of this command.
        _ = interrupt.next() => Exit::Ok,
    }
}

async fn watch(paths: &Paths, is_json: bool, frame: &mut Frame) -> Exit {
    let mut asked = ask_status(paths).await;
    if let Err(error @ (ClientError::NoSupervisor | ClientError::Silent)) = &asked {
        return tell(error);
    }
    let mut last = String::new();
    let mut picture = Vec::new();
    let mut absent_since: Option<Instant> = None;
    loop {
        let drawn = match &asked {
            Ok(status) => {
                absent_since = None;
                let essence = essence(status);
                let is_change = essence != last;
                last = essence;
                picture = status::lines(status);
                if is_json {
                    if is_change { tell_json(status) } else { Ok(()) }
                } else if frame.is_redrawn() {
                    frame.draw(&picture)
                } else if is_change {
                    let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
                    picture.insert(0, styled(DIM, &time));
                    frame.draw(&picture)
                } else {
                    Ok(())
                }
            }
            Err(error) if last_resort::keeper_lives(paths) => {
                let is_new = absent_since.is_none() && !matches!(error, ClientError::Silent);
                let since = *absent_since.get_or_insert_with(Instant::now);
                // A dead supervisor is replaced at once: no message. A silent one has already been silent for long.
                let is_late = matches!(error, ClientError::Silent) || since.elapsed() >= ABSENCE;
                let is_due = is_late && frame.is_redrawn() && !is_json;
                if is_new || !is_due {
                    Ok(())
                } else {
                    let note = styled(YELLOW, "the supervisor does not answer; the services go on");
                    frame.draw(&[picture.as_slice(), &[note]].concat())
                }
            }
            Err(_) => return tell(&ClientError::NoSupervisor),
        };
        // The output is closed.
        if drawn.is_err() {
            return Exit::Ok;
        }
        let path = format!("/v1/status?wait={HELD_BACK}");
        let held: Result<Status, ClientError> = client::wait(paths, &path).await;
        tokio::time::sleep(PAUSE).await;
        // Ask again, to also show what directly followed the change.
        asked = if held.is_ok() { ask_status(paths).await } else { held };
    }
}

fn tell_json(status: &Status) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string(status).unwrap_or_default())
}

/// The status without the values that differ at every measurement, to find out whether something changed.
fn essence(status: &Status) -> String {
    let mut status = status.clone();
    for instance in &mut status.instances {
        instance.cpu_percent = None;
        instance.cpu_seconds = None;
        instance.memory_bytes = None;
    }
    for job in &mut status.jobs {
        job.done = 0;
    }
    serde_json::to_string(&status).unwrap_or_default()
}
