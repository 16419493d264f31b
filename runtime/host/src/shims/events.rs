//! What shims report, as the engine's events.

use std::io;

use core_engine::event::{Event, Life, Unreached};
use core_engine::exit::Exit;
use core_engine::{InstanceId, InvocationId};
use core_shim::wire::{self, Report};

use super::order;

/// A wait status in the engine's form. A negative one means that the exit was not seen.
pub fn exit_of(status: i32) -> Exit {
    use nix::libc::{WEXITSTATUS, WIFEXITED, WIFSIGNALED, WTERMSIG};
    if status >= 0 && WIFEXITED(status) {
        Exit::Code(WEXITSTATUS(status))
    } else if status >= 0 && WIFSIGNALED(status) {
        Exit::Signal(WTERMSIG(status))
    } else {
        Exit::Unknown
    }
}

/// The state of an instance in the engine's form.
pub(super) fn life_of(life: wire::Life, number: u32) -> Life {
    match life {
        wire::Life::Idle if number == 0 => Life::Idle,
        // Its last start failed: no process lives, and its exit was not seen.
        wire::Life::Idle => Life::Exited { exit: Exit::Unknown, leftovers: false },
        wire::Life::Running { pid } => Life::Running { pid },
        wire::Life::Exited { status, leftovers } => Life::Exited { exit: exit_of(status), leftovers },
    }
}

/// The event for a report, if it has one.
pub(super) fn event_of(instance: &InstanceId, line: u32, report: Report) -> Option<Event> {
    let invocation = |number| InvocationId { instance: instance.clone(), number };
    match report {
        Report::Started { number, pid } => Some(Event::Started { invocation: invocation(number), pid }),
        Report::StartFailed { number, stage, errno, detail } => {
            let failure = order::failure_of(&stage, errno, &detail);
            Some(Event::StartFailed { invocation: invocation(number), failure })
        }
        Report::Exited { number, status, leftovers } => {
            Some(Event::Exited { invocation: invocation(number), exit: exit_of(status), leftovers })
        }
        // The third one answers the question whether the shim is alive.
        Report::Hello { .. } | Report::Sockets { .. } | Report::Emptied { number: wire::ECHO } => None,
        Report::Emptied { number } => Some(Event::Emptied { invocation: invocation(number) }),
        Report::Dropped { bytes, errno } => {
            let why = std::io::Error::from_raw_os_error(errno);
            tracing::warn!(%instance, bytes, "output could not be written and was dropped: {why}");
            None
        }
        Report::Adopted { number, life } => {
            let life = life_of(life, number);
            Some(Event::Adopted { instance: instance.clone(), line, invocation: number, life })
        }
        Report::AdoptFailed { errno, detail } => {
            let error = io::Error::from_raw_os_error(errno);
            let why = if errno == 0 { detail } else { format!("{detail}: {error}") };
            let why = Unreached::Failed(format!("another shim cannot take over ({why})"));
            Some(Event::Unreached { instance: instance.clone(), line, why })
        }
    }
}
