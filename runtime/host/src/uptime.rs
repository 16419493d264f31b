//! `uptime.jsonl`: how each service with a route answered when it was asked through the edge, every half minute of the last day.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history;
use crate::logs::access::figures::quantile;

/// How long checks are kept, in seconds.
const DAY: i64 = 24 * 3600;
/// A file of this size is set aside: more than a day of 30 services has.
const MOST: u64 = 4 << 20;

/// One round: when, and how many milliseconds each service took to answer; `None` for one that did not, or with an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) took_ms: BTreeMap<String, Option<f64>>,
}

/// What the checks of a service in the last day have found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Day {
    /// How often it was asked.
    pub checks: usize,
    /// How often it did not answer within its time, or answered with a status from 500.
    pub failed: usize,
    /// The share of good answers, in percent.
    pub percent: f64,
    /// How long half of the good answers took at most, in milliseconds. Null without one.
    pub p50_ms: Option<f64>,
    /// How long all but one in a hundred took at most, in milliseconds.
    pub p99_ms: Option<f64>,
    /// When a check failed last: RFC 3339, UTC.
    pub failed_at: Option<String>,
}

/// Adds a round to the file.
///
/// # Errors
/// The error of the file system.
pub(crate) fn append(path: &Path, round: &Round) -> io::Result<()> {
    let first = first_round(path);
    let is_old = first.is_some_and(|first| round.at - first.at > DAY);
    let is_large = fs::metadata(path).is_ok_and(|about| about.len() > MOST);
    if is_old || is_large {
        fs::rename(path, before(path))?;
    }
    history::append(path, &serde_json::to_string(round)?)
}

/// What is known of the last day, by service. What cannot be read is passed over.
pub fn read(path: &Path, now: Timestamp) -> BTreeMap<String, Day> {
    let since = now.as_second() - DAY;
    let texts = [before(path), path.to_owned()].map(|path| fs::read_to_string(path).unwrap_or_default());
    let rounds = texts.iter().flat_map(|text| text.lines()).filter_map(|line| serde_json::from_str(line).ok());
    sum_up(rounds.filter(|round: &Round| round.at > since))
}

fn sum_up(rounds: impl Iterator<Item = Round>) -> BTreeMap<String, Day> {
    let mut all: BTreeMap<String, (Vec<f64>, Day)> = BTreeMap::new();
    for round in rounds {
        for (service, took) in round.took_ms {
            let (times, day) = all.entry(service).or_default();
            day.checks += 1;
            if let Some(took) = took {
                times.push(took);
            } else {
                day.failed += 1;
                day.failed_at = Timestamp::from_second(round.at).ok().map(|at| at.to_string());
            }
        }
    }
    let finished = |(mut times, mut day): (Vec<f64>, Day)| {
        times.sort_by(f64::total_cmp);
        (day.p50_ms, day.p99_ms) = (quantile(&times, 50), quantile(&times, 99));
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let share = times.len() as f64 / day.checks as f64;
        day.percent = share * 100.0;
        day
    };
    all.into_iter().map(|(service, one)| (service, finished(one))).collect()
}

fn first_round(path: &Path) -> Option<Round> {
    let file = io::BufReader::new(fs::File::open(path).ok()?);
    file.lines().map_while(Result::ok).find_map(|line| serde_json::from_str(&line).ok())
}

/// Where the rounds before those in the file are.
fn before(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(at: i64, web: Option<f64>) -> Round {
        Round { at, took_ms: [("web".to_owned(), web)].into() }
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uptime.jsonl");
        for at in (0..3 * DAY).step_by(600) {
            append(&path, &round(at, Some(1.0))).unwrap();
        }
        let day = read(&path, Timestamp::from_second(3 * DAY).unwrap()).remove("web").unwrap();
        assert!((140..=144).contains(&day.checks), "{day:?}");
        let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
        assert!(lines(&path) + lines(&before(&path)) < 2 * 160, "what is older is gone");
    }

    #[test]
    fn what_was_cut_off_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uptime.jsonl");
        append(&path, &round(100, Some(2.0))).unwrap();
        fs::write(&path, format!("{}\n{{\"at\":130,\"to", fs::read_to_string(&path).unwrap())).unwrap();
        append(&path, &round(160, None)).unwrap();
        append(&path, &round(190, Some(4.0))).unwrap();
        let day = read(&path, Timestamp::from_second(200).unwrap()).remove("web").unwrap();
        assert_eq!((day.checks, day.failed, day.p50_ms, day.p99_ms), (3, 1, Some(2.0), Some(4.0)));
        assert_eq!(day.failed_at.as_deref(), Some("1970-01-01T00:02:40Z"));
        assert!((day.percent - 66.7).abs() < 0.1);
    }
}
