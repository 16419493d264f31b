//! What is to be measured, from the environment; `main.rs` says what each variable means.

use std::time::Duration;

use crate::tools::{self, Tool};

/// The rows that may be asked for.
pub(crate) const ROWS: [&str; 10] =
    ["start", "restart", "stop", "memory", "idle", "probes", "chain", "logs", "kill", "change"];

/// What is to be measured.
pub(crate) struct Settings {
    /// Rounds of what takes seconds.
    pub(crate) rounds: usize,
    /// Rounds of what takes minutes.
    pub(crate) long_rounds: usize,
    /// How many services at once.
    pub(crate) sizes: Vec<usize>,
    /// How many services where many are wanted, whatever the row.
    pub(crate) many: usize,
    /// How long idleness is watched.
    pub(crate) idle: Duration,
    /// How much is logged, in bytes.
    pub(crate) log_bytes: u64,
    /// How long anything may take.
    pub(crate) patience: Duration,
    rows: Vec<String>,
    tools: Vec<String>,
}

impl Settings {
    /// As the environment says.
    pub(crate) fn read() -> Self {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let list = |name: &str| -> Vec<String> {
            let text = text(name);
            text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let number = |name: &str, default: u32| text(name).parse().unwrap_or(default);
        let sizes: Vec<usize> = list("SIZES").iter().filter_map(|size| size.parse().ok()).collect();
        let words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
        let seconds = |name, default| Duration::from_secs(u64::from(number(name, default)));
        Self {
            rounds: number("ROUNDS", 5) as usize,
            long_rounds: number("LONG_ROUNDS", 1) as usize,
            sizes: if sizes.is_empty() { vec![1, 50, 200, 1000] } else { sizes },
            many: number("MANY", 200) as usize,
            idle: seconds("IDLE", 60),
            log_bytes: u64::from(number("LOG_MB", 500)) * 1_000_000,
            patience: seconds("PATIENCE", 60),
            rows: list("ROWS"),
            tools: list("TOOLS").into_iter().chain(words).collect(),
        }
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }

    /// Words in `ROWS` that are no row.
    pub(crate) fn strangers(&self) -> Vec<&str> {
        self.rows.iter().map(String::as_str).filter(|row| !ROWS.contains(row)).collect()
    }

    /// The tools that are asked for.
    pub(crate) fn tools(&self) -> Vec<&'static dyn Tool> {
        let asked = |tool: &&dyn Tool| {
            self.tools.is_empty() || self.tools.iter().any(|word| tool.name().contains(word.as_str()))
        };
        tools::ALL.into_iter().filter(asked).collect()
    }
}
