//! How a service does, by what its clients were answered lately.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::Entry;

/// Status of a connection that goes on as another protocol: how long that lasts says nothing.
const SWITCHED: u16 = 101;

/// What was answered within some seconds.
#[derive(Debug)]
pub struct Window {
    seconds: f64,
    answers: VecDeque<Answer>,
    /// All services that were seen, also those that are quiet now.
    services: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    wall_ns: u64,
    service: usize,
    status: u16,
    is_complete: bool,
    bytes: u64,
    seconds: f64,
}

/// The figures of a service, or of all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Answers within the window.
    pub requests: usize,
    /// Answers a second.
    pub per_second: f64,
    /// Answers with a status from 500, and those that their service did not bring to an end.
    pub server_errors: usize,
    /// Their share of all answers, in percent.
    pub server_error_percent: f64,
    /// Answers with a status from 400 to 499.
    pub client_errors: usize,
    /// Their share of all answers, in percent.
    pub client_error_percent: f64,
    /// How long half of the answers took at most, in milliseconds; of those that came to their end. Null without one.
    pub p50_ms: Option<f64>,
    /// How long all but one in a hundred took at most, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Bytes of the answers' bodies, a second.
    pub bytes_per_second: f64,
}

impl Window {
    /// A window of so many seconds.
    pub fn new(seconds: f64) -> Self {
        Self { seconds, answers: VecDeque::new(), services: BTreeMap::new() }
    }

    /// Takes an answer up.
    pub fn add(&mut self, entry: &Entry) {
        let next = self.services.len();
        let service = match self.services.get(&entry.service) {
            Some(number) => *number,
            None => *self.services.entry(entry.service.clone()).or_insert(next),
        };
        self.answers.push_back(Answer {
            wall_ns: entry.wall_ns,
            service,
            status: entry.status,
            is_complete: entry.is_complete(),
            bytes: entry.bytes,
            seconds: entry.seconds,
        });
    }

    /// The figures of each service and of all together, up to now.
    pub fn read(&mut self, now_ns: u64) -> (Vec<(String, Figures)>, Figures) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are not negative")]
        let begin = now_ns.saturating_sub((self.seconds * 1e9) as u64);
        // What two edges wrote at the same time may be a little out of order: it goes a moment later.
        while self.answers.front().is_some_and(|answer| answer.wall_ns < begin) {
            self.answers.pop_front();
        }
        let of = |service: Option<usize>| {
            let is_of = |answer: &&Answer| service.is_none_or(|service| service == answer.service);
            figures(self.answers.iter().filter(|answer| answer.wall_ns >= begin).filter(is_of), self.seconds)
        };
        let rows = self.services.iter().map(|(name, number)| (name.clone(), of(Some(*number)))).collect();
        (rows, of(None))
    }
}

/// The value that so many percent of these, which are sorted, do not exceed, by the nearest rank; `None` without one.
pub(crate) fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn figures<'a>(answers: impl Iterator<Item = &'a Answer>, seconds: f64) -> Figures {
    let mut figures = Figures::default();
    let mut took = Vec::new();
    let mut bytes = 0;
    for answer in answers {
        figures.requests += 1;
        bytes += answer.bytes;
        if answer.status >= 500 || !answer.is_complete {
            figures.server_errors += 1;
        } else if answer.status >= 400 {
            figures.client_errors += 1;
        }
        if answer.is_complete && answer.status != SWITCHED {
            took.push(answer.seconds * 1e3);
        }
    }
    took.sort_unstable_by(f64::total_cmp);
    let share = |count: usize| if figures.requests == 0 { 0.0 } else { count as f64 * 100.0 / figures.requests as f64 };
    figures.server_error_percent = share(figures.server_errors);
    figures.client_error_percent = share(figures.client_errors);
    figures.per_second = figures.requests as f64 / seconds;
    figures.bytes_per_second = bytes as f64 / seconds;
    (figures.p50_ms, figures.p99_ms) = (quantile(&took, 50), quantile(&took, 99));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(service: &str, at: u64, status: u16, seconds: f64) -> Entry {
        Entry { wall_ns: at * 1_000_000_000, service: service.into(), status, seconds, bytes: 10, ..Entry::default() }
    }

    #[test]
    fn figures_are_of_the_window() {
        let mut window = Window::new(10.0);
        window.add(&entry("old", 1, 500, 1.0));
        for number in 1..=100_u32 {
            window.add(&entry("web", 15, if number == 1 { 502 } else { 200 }, f64::from(number) / 1000.0));
        }
        window.add(&entry("api", 16, 404, 0.001));
        window.add(&entry("api", 16, 101, 900.0));
        window.add(&entry("api", 16, 200, 0.0));
        let (rows, total) = window.read(20_000_000_000);
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["api", "old", "web"]);
        let (api, old, web) = (&rows[0].1, &rows[1].1, &rows[2].1);
        assert_eq!((web.requests, web.per_second, web.server_errors), (100, 10.0, 1));
        assert_eq!((web.p50_ms, web.p99_ms), (Some(50.0), Some(99.0)));
        assert_eq!(
            (api.client_errors, api.server_errors, api.p99_ms),
            (1, 1, Some(1.0)),
            "one did not come to its end"
        );
        assert_eq!((old.requests, old.p50_ms), (0, None));
        assert_eq!((total.requests, total.server_errors, total.bytes_per_second), (103, 2, 103.0));
    }
}
