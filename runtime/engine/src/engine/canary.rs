//! Whether a canary does worse than the live release: by the answers of both in the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::InstanceId;
use crate::time::Time;

/// The time over which answers are counted; looked at are this one and the one before.
const WINDOW: Duration = Duration::from_secs(30);
/// With fewer errors than these, nothing is said of a canary.
const FEW: u64 = 5;
/// A canary may have so many times the live release's share of errors, ...
const TIMES: f64 = 2.0;
/// ... and so much more, as a share of its answers.
const MORE: f64 = 0.01;

/// Answers, and those of them with a status of 500 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) answers: u64,
    pub(super) errors: u64,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        Self { answers: self.answers + other.answers, errors: self.errors + other.errors }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn share(self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.errors as f64 / self.answers as f64 }
    }
}

/// What a canary and the live release have answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// When the present window began.
    from: Time,
    canary: [Count; 2],
    live: [Count; 2],
    /// What each instance had answered when it was last counted.
    seen: BTreeMap<InstanceId, Count>,
}

impl Tally {
    /// Takes what an instance has answered since its process started.
    pub(super) fn take(&mut self, id: &InstanceId, is_canary: bool, total: Count, now: Time) {
        if now >= self.from + WINDOW {
            // What is older than the window before says nothing about now.
            let is_long_ago = now >= self.from + WINDOW * 2;
            let next = |[last, _]: [Count; 2]| [Count::default(), if is_long_ago { Count::default() } else { last }];
            (self.from, self.canary, self.live) = (now, next(self.canary), next(self.live));
        }
        let Some(before) = self.seen.insert(id.clone(), total) else {
            // What it answered before the canary came says nothing about now, but all of a canary counts.
            if is_canary {
                self.canary[0] = self.canary[0].plus(total);
            }
            return;
        };
        // A new process starts at nothing.
        let is_new = total.answers < before.answers || total.errors < before.errors;
        let before = if is_new { Count::default() } else { before };
        let more = Count { answers: total.answers - before.answers, errors: total.errors - before.errors };
        let of = if is_canary { &mut self.canary } else { &mut self.live };
        of[0] = of[0].plus(more);
    }

    /// What is wrong with the answers of the canary, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let (canary, live) = (self.canary[0].plus(self.canary[1]), self.live[0].plus(self.live[1]));
        let is_bad = canary.errors >= FEW && canary.share() > TIMES * live.share() + MORE;
        is_bad.then(|| {
            format!(
                "{} of its {} answers were errors, of the live release's {} of {}",
                canary.errors, canary.answers, live.errors, live.answers
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use core_manifest::ServiceName;

    use super::*;
    use crate::ids::Generation;

    fn id(service: &str) -> InstanceId {
        InstanceId::new(ServiceName::made(service).unwrap(), 0, Generation(1))
    }

    fn count(answers: u64, errors: u64) -> Count {
        Count { answers, errors }
    }

    #[test]
    fn a_canary_is_compared_with_the_live_release() {
        let (live, canary) = (id("web"), id("web~canary"));
        let mut tally = Tally::default();
        let now = Time(0);
        // What the live release answered before does not count.
        tally.take(&live, false, count(1000, 900), now);
        tally.take(&canary, true, count(10, 4), now);
        assert_eq!(tally.fault(), None, "few errors");
        tally.take(&live, false, count(1100, 910), now);
        tally.take(&canary, true, count(40, 8), now);
        assert_eq!(tally.fault(), None, "8 of 40, where the live one has 10 of 100");
        tally.take(&canary, true, count(50, 16), now);
        assert!(tally.fault().is_some_and(|why| why.contains("16 of its 50 answers")), "{:?}", tally.fault());
    }

    #[test]
    fn old_answers_are_forgotten() {
        let (live, canary) = (id("web"), id("web~canary"));
        let mut tally = Tally::default();
        tally.take(&live, false, count(0, 0), Time(0));
        tally.take(&canary, true, count(100_000, 0), Time(0));
        for window in 1..=2 {
            tally.take(&canary, true, count(100_000 + window, 0), Time(0) + WINDOW * u32::try_from(window).unwrap());
        }
        tally.take(&canary, true, count(100_012, 8), Time(0) + WINDOW * 2);
        assert!(tally.fault().is_some(), "8 of the last 12: {tally:?}");
    }

    #[test]
    fn what_was_before_a_quiet_time_is_forgotten() {
        let canary = id("web~canary");
        let mut tally = Tally::default();
        tally.take(&canary, true, count(4, 4), Time(0));
        // Nothing is told while nothing is answered.
        tally.take(&canary, true, count(6, 5), Time(0) + WINDOW * 100);
        assert_eq!(tally.fault(), None, "{tally:?}");
    }

    #[test]
    fn a_new_process_starts_at_nothing() {
        let canary = id("web~canary");
        let mut tally = Tally::default();
        tally.take(&canary, true, count(100, 3), Time(0));
        tally.take(&canary, true, count(2, 2), Time(0));
        assert_eq!(tally.canary[0], count(102, 5));
    }
}
