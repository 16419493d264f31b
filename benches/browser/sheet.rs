//! What came of the checks, and the table of it.

use serde_json::Value;

/// What came of a check in a tab.
pub(crate) struct Outcome {
    check: String,
    /// `soft`, `hard`, `sent` or `failed`.
    result: String,
    /// Which release gave what was shown, where that can be seen.
    by: Option<String>,
    why: Option<String>,
}

impl Outcome {
    /// Reads what the browser says.
    ///
    /// # Errors
    /// When it is not the outcome of a check.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let missing = || format!("not an outcome: {value}");
        Ok(Self {
            check: text("check").ok_or_else(missing)?,
            result: text("result").ok_or_else(missing)?,
            by: text("by"),
            why: text("why"),
        })
    }

    fn cell(&self) -> String {
        match (&*self.result, &self.by) {
            ("failed", _) => "**failed**".into(),
            (result, Some(by)) => format!("{result}, by {by}"),
            (result, None) => result.into(),
        }
    }
}

/// A column for the tabs of each release, a row for each check.
#[derive(Default)]
pub(crate) struct Sheet {
    columns: Vec<(String, Vec<Outcome>)>,
}

impl Sheet {
    /// Adds the tabs of a release.
    pub(crate) fn column(&mut self, title: String, outcomes: Vec<Outcome>) {
        self.columns.push((title, outcomes));
    }

    /// Prints the table, and why checks failed. Returns whether there were checks and none failed.
    pub(crate) fn print(&self) -> bool {
        let titles: Vec<&str> = self.columns.iter().map(|(title, _)| title.as_str()).collect();
        println!("| in a tab of release | {} |\n|---{}|", titles.join(" | "), "|---".repeat(titles.len()));
        let rows = self.columns.first().map_or(&[][..], |(_, outcomes)| outcomes);
        for row in rows {
            let of = |outcomes: &[Outcome]| outcomes.iter().find(|one| one.check == row.check).map(Outcome::cell);
            let cells: Vec<String> =
                self.columns.iter().map(|(_, outcomes)| of(outcomes).unwrap_or_else(|| "**missing**".into())).collect();
            println!("| {} | {} |", row.check, cells.join(" | "));
        }
        let count = |outcomes: &[Outcome], result: &str| outcomes.iter().filter(|one| one.result == result).count();
        for result in ["soft", "hard", "sent", "failed"] {
            let counts: Vec<String> =
                self.columns.iter().map(|(_, outcomes)| count(outcomes, result).to_string()).collect();
            println!("| {result}, of {} | {} |", rows.len(), counts.join(" | "));
        }
        for (title, outcomes) in &self.columns {
            for outcome in outcomes {
                if let Some(why) = &outcome.why {
                    println!("\nIn a tab of release {title}, {} failed: {}", outcome.check, why.replace('\n', " "));
                }
            }
        }
        let is_whole = |outcomes: &[Outcome]| outcomes.len() == rows.len() && count(outcomes, "failed") == 0;
        !rows.is_empty() && self.columns.iter().all(|(_, outcomes)| is_whole(outcomes))
    }
}
