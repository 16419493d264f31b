//! What was found, reduced to kinds, and printed.

use std::time::Duration;

use crate::comparison::Difference;
use crate::decided::{Decision, decision};

/// How long a value may be in the table.
const WIDE: usize = 110;
/// How many requests are named for a kind.
const EXAMPLES: usize = 2;

/// Differences of one kind.
struct Sort {
    difference: Difference,
    decision: Option<&'static Decision>,
    /// How often, by app.
    apps: Vec<(&'static str, usize)>,
    examples: Vec<String>,
}

/// An app, and how it went.
struct Row {
    app: &'static str,
    about: &'static str,
    result: Result<Counts, String>,
    took: Duration,
}

/// What an app was asked.
#[derive(Clone, Copy, Default)]
struct Counts {
    requests: usize,
    equal: usize,
    decided: usize,
}

/// All that was found.
#[derive(Default)]
pub(crate) struct Sheet {
    kinds: Vec<Sort>,
    rows: Vec<Row>,
    now: Counts,
}

impl Sheet {
    /// A request of an app was answered by both.
    pub(crate) fn asked(&mut self, app: &'static str, request: &str, differences: Vec<Difference>) {
        self.now.requests += 1;
        let is_decided = differences.iter().all(|one| decision(one).is_some());
        match (differences.is_empty(), is_decided) {
            (true, _) => self.now.equal += 1,
            (false, true) => self.now.decided += 1,
            _ => {}
        }
        for difference in differences {
            self.add(app, request, difference);
        }
    }

    fn add(&mut self, app: &'static str, request: &str, difference: Difference) {
        let at = self.kinds.iter().position(|kind| kind.difference == difference).unwrap_or_else(|| {
            let decision = decision(&difference);
            self.kinds.push(Sort { difference, decision, apps: Vec::new(), examples: Vec::new() });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[at];
        match kind.apps.iter_mut().find(|(name, _)| *name == app) {
            Some((_, count)) => *count += 1,
            None => kind.apps.push((app, 1)),
        }
        if kind.examples.len() < EXAMPLES {
            kind.examples.push(request.to_owned());
        }
    }

    /// An app is done.
    pub(crate) fn row(&mut self, app: &'static str, about: &'static str, result: Result<(), String>, took: Duration) {
        let counts = std::mem::take(&mut self.now);
        self.rows.push(Row { app, about, result: result.map(|()| counts), took });
    }

    /// Whether nothing differs but what is decided, and every app was served, at least one.
    pub(crate) fn is_well(&self) -> bool {
        !self.rows.is_empty()
            && self.kinds.iter().all(|kind| kind.decision.is_some())
            && self.rows.iter().all(|row| row.result.is_ok())
    }

    /// Prints the tables.
    pub(crate) fn print(mut self) {
        println!(
            "| app | | requests | the same | but for what is decided | differ | time |\n|---|---|---|---|---|---|---|"
        );
        for Row { app, about, result, took } in &self.rows {
            let took = took.as_secs();
            match result {
                Ok(Counts { requests, equal, decided }) => {
                    let differ = requests - equal - decided;
                    println!("| {app} | {about} | {requests} | {equal} | {decided} | {differ} | {took} s |");
                }
                Err(why) => println!("| {app} | {about} | **fails**: {} | | | | {took} s |", cell(why, 400)),
            }
        }
        let count = |kind: &Sort| kind.apps.iter().map(|(_, count)| count).sum::<usize>();
        // Stable, so that kinds that are found equally often stay in the order of the requests.
        self.kinds.sort_by_key(|kind| std::cmp::Reverse(count(kind)));
        let (decided, open): (Vec<Sort>, Vec<Sort>) = self.kinds.into_iter().partition(|kind| kind.decision.is_some());
        println!("\n| differs | `next start` | edge | how often | for example |\n|---|---|---|---|---|");
        for kind in &open {
            let examples: Vec<String> = kind.examples.iter().map(|one| format!("`{}`", cell(one, WIDE))).collect();
            println!("{} {} |", begin(kind), examples.join(", "));
        }
        println!("\n| decided | `next start` | edge | how often | why |\n|---|---|---|---|---|");
        for kind in &decided {
            println!("{} {} |", begin(kind), kind.decision.map_or("", |decision| decision.why));
        }
    }
}

/// The beginning of a kind's line.
fn begin(kind: &Sort) -> String {
    let Difference { what, next, edge } = &kind.difference;
    let apps: Vec<String> = kind.apps.iter().map(|(app, count)| format!("{app} {count}")).collect();
    format!("| {what} | `{}` | `{}` | {} |", cell(next, WIDE), cell(edge, WIDE), apps.join(", "))
}

/// A text that does not break the table.
fn cell(text: &str, wide: usize) -> String {
    let short: String = text.chars().take(wide).collect();
    short.replace('\n', " ").replace('|', "\\|").replace('`', "'")
}
