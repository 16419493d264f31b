//! What is to be measured, from the environment; `main.rs` says what each variable means.

use std::time::Duration;

/// What is to be measured.
pub(crate) struct Settings {
    /// Rounds of `swap`.
    pub(crate) rounds: u64,
    /// Swaps in a round.
    pub(crate) swaps: u64,
    /// How long a round lasts at least.
    pub(crate) least: Duration,
    rows: Vec<String>,
}

impl Settings {
    /// As the environment says.
    pub(crate) fn read() -> Self {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let number = |name: &str, default: u64| text(name).parse().unwrap_or(default);
        Self {
            rounds: number("ROUNDS", 5),
            swaps: number("SWAPS", 20),
            least: Duration::from_secs(number("SECONDS", 60)),
            rows: text("ROWS").split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}
