//! What can be done to a stack, and how often each is.

use std::time::Duration;

use super::dice::Dice;
use super::knock::{MANNERS, Manner};

/// Who it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Keeper,
    Supervisor,
    /// Of a service.
    Shim(&'static str),
    /// The first process of a service.
    Service(&'static str),
}

/// Whose door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Of the shim of a service.
    Shim(&'static str),
    /// `core.sock`.
    Control,
}

/// What somebody asks for meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Restart(&'static str),
    /// Of `quiet`.
    Scale(usize),
    StopForks,
    StartForks,
    /// An edit of `quiet`, carried out.
    Edit,
    StartOnce,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill(Vec<Part>),
    KillAllOfOurs,
    /// Held still for that long.
    Pause(Vec<Part>, Duration),
    /// Held still until the sequence is over.
    Hold(Vec<Part>),
    /// No more descriptors for a second.
    Files(Part),
    /// No more processes for a second.
    Processes,
    Knock(Door, Manner),
    /// `crasher` ends with that code.
    Crash(u8),
    /// `chatty` says a great deal.
    Flood,
    Order(Order),
}

/// Services that are always there.
pub(crate) const ROLES: [&str; 5] = ["chatty", "web", "crasher", "forks", "quiet"];

/// How long those are held that go on.
fn moment(dice: &mut Dice) -> Duration {
    // Mostly short; what takes longer than anybody waits is the rare case.
    if dice.once_in(6) { dice.millis(1500, 3000) } else { dice.millis(100, 700) }
}

fn part(dice: &mut Dice) -> Part {
    match dice.below(6) {
        0 => Part::Keeper,
        1 | 2 => Part::Supervisor,
        _ => Part::Shim(dice.of(&["chatty", "web", "crasher", "forks", "quiet", "once"])),
    }
}

fn parts(dice: &mut Dice) -> Vec<Part> {
    let first = part(dice);
    let second = part(dice);
    if dice.once_in(3) && second != first { vec![first, second] } else { vec![first] }
}

impl Fault {
    /// Any whose name has one of these words in it; of none, any.
    pub(crate) fn any_of(dice: &mut Dice, only: &[String]) -> Self {
        loop {
            let fault = Self::any(dice);
            if only.is_empty() || only.iter().any(|words| fault.name().contains(words.as_str())) {
                return fault;
            }
        }
    }

    fn any(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..24 => Self::Kill(parts(dice)),
            24..34 => Self::Kill(vec![Part::Service(dice.of(&ROLES))]),
            34..38 => Self::KillAllOfOurs,
            38..48 => Self::Pause(parts(dice), moment(dice)),
            48..51 => Self::Pause(vec![Part::Service(dice.of(&ROLES))], moment(dice)),
            51..56 => Self::Hold(parts(dice)),
            56..61 => Self::Files(part(dice)),
            61..64 => Self::Processes,
            64..76 => {
                let control = dice.once_in(3);
                let door = if control { Door::Control } else { Door::Shim(dice.of(&ROLES)) };
                Self::Knock(door, dice.of(&MANNERS).0)
            }
            76..80 => Self::Crash(u8::try_from(dice.below(120)).unwrap_or(0) + 1),
            80..83 => Self::Flood,
            83..91 => Self::Order(Order::StartOnce),
            _ => Self::Order(match dice.below(7) {
                0 => Order::Scale(2),
                1 => Order::Scale(1),
                2 => Order::StopForks,
                3 => Order::StartForks,
                4 => Order::Edit,
                _ => Order::Restart(dice.of(&ROLES)),
            }),
        }
    }

    /// What it is counted as.
    pub(crate) fn name(&self) -> String {
        let who = |parts: &[Part]| {
            let word = |part: &Part| match part {
                Part::Keeper => "keeper",
                Part::Supervisor => "supervisor",
                Part::Shim(_) => "shim",
                Part::Service(_) => "service",
            };
            let mut words: Vec<&str> = parts.iter().map(word).collect();
            words.sort_unstable();
            words.join(" and ")
        };
        match self {
            Self::Kill(parts) => format!("kill -9: {}", who(parts)),
            Self::KillAllOfOurs => "kill -9: all of ours".into(),
            Self::Pause(parts, _) => format!("stop, go on: {}", who(parts)),
            Self::Hold(parts) => format!("stop for good: {}", who(parts)),
            Self::Files(part) => format!("no descriptors for 1 s: {}", who(&[*part])),
            Self::Processes => "no processes for 1 s".into(),
            Self::Knock(door, manner) => {
                let manner = MANNERS.iter().find(|(one, _)| one == manner).map_or("", |(_, name)| name);
                format!("{manner}: {}", if *door == Door::Control { "core.sock" } else { "a shim's socket" })
            }
            Self::Crash(_) => "a service ends with a code".into(),
            Self::Flood => "a flood of output".into(),
            Self::Order(order) => match order {
                Order::Restart(_) => "core restart".into(),
                Order::Scale(_) => "core scale".into(),
                Order::StopForks => "core stop".into(),
                Order::StartForks => "core start".into(),
                Order::Edit => "an edit, core apply".into(),
                Order::StartOnce => "core start of a one-shot".into(),
            },
        }
    }
}
