//! What was measured, and the table made of it.

use std::collections::BTreeMap;

/// Why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It did not happen in time.
    Timeout,
    /// The tool cannot, or was not told how.
    NotApplicable,
    /// Something could not be begun.
    Failed,
}

impl Miss {
    fn words(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotApplicable => "n/a",
            Self::Failed => "failed",
        }
    }
}

/// A number, or why there is none.
pub(crate) type Value = Result<f64, Miss>;

/// All values so far.
#[derive(Default)]
pub(crate) struct Sheet {
    /// In the order in which rows were first heard of.
    rows: Vec<String>,
    values: BTreeMap<(String, &'static str), Vec<Value>>,
}

impl Sheet {
    /// Takes one value down.
    pub(crate) fn note(&mut self, row: &str, tool: &'static str, value: Value) {
        if !self.rows.iter().any(|known| known == row) {
            self.rows.push(row.to_owned());
        }
        let told = value.map_or_else(|miss| miss.words().to_owned(), number);
        eprintln!("    {tool}: {row}: {told}");
        self.values.entry((row.to_owned(), tool)).or_default().push(value);
    }

    /// A table in Markdown: a row for each thing that was measured, a column for each tool, with the ratio to bare
    /// where bare has a number.
    pub(crate) fn print(&self, tools: &[&'static str]) {
        println!("\n| | {} |", tools.join(" | "));
        println!("|---|{}", "---|".repeat(tools.len()));
        for row in &self.rows {
            let bare = self.values.get(&(row.clone(), "bare")).and_then(|values| median(values).ok());
            let cells: Vec<String> = tools.iter().map(|tool| self.cell(row, tool, bare)).collect();
            println!("| {row} | {} |", cells.join(" | "));
        }
    }

    fn cell(&self, row: &str, tool: &'static str, bare: Option<f64>) -> String {
        let Some(values) = self.values.get(&(row.to_owned(), tool)) else { return String::new() };
        let missed = values.iter().filter(|value| value.is_err()).count();
        let note = if missed > 0 && missed * 2 <= values.len() { format!(", {missed} missed") } else { String::new() };
        match (median(values), bare) {
            (Err(miss), _) => miss.words().to_owned(),
            (Ok(value), Some(bare)) if tool != "bare" && bare > 0.0 => {
                format!("{} ({:.1} ×{note})", number(value), value / bare)
            }
            (Ok(value), _) if note.is_empty() => number(value),
            (Ok(value), _) => format!("{} ({})", number(value), note.trim_start_matches(", ")),
        }
    }
}

/// The middle one of the numbers, unless more than half are none.
fn median(values: &[Value]) -> Value {
    let mut numbers: Vec<f64> = values.iter().filter_map(|value| value.ok()).collect();
    if numbers.len() * 2 < values.len() || numbers.is_empty() {
        return Err(values.iter().find_map(|value| value.err()).unwrap_or(Miss::Failed));
    }
    numbers.sort_by(f64::total_cmp);
    Ok(numbers[numbers.len() / 2])
}

/// With thousands parted, and as many digits as mean something.
fn number(value: f64) -> String {
    let text =
        if value.fract().abs() < 0.05 || value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.1}") };
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut parted = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            parted.push(',');
        }
        parted.push(digit);
    }
    if rest.is_empty() { parted } else { format!("{parted}.{rest}") }
}
