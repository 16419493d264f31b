//! Numbers and durations in words.

use std::time::Duration;

/// A number and its noun: `1 error`, `2 errors`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A duration in its two largest units: `3m 12s`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Bytes in the unit that fits: `61 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1024 && unit + 1 < units.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit > 0 && whole < 10 {
        format!("{whole}.{} {}", rest * 10 / 1024, units[unit])
    } else {
        format!("{whole} {}", units[unit])
    }
}

/// How long something took, to three digits: `1.23 ms`, `12.3 ms`, `1.23 s`.
pub(crate) fn took(seconds: f64) -> String {
    let (number, unit) = if seconds < 1.0 { (seconds * 1e3, "ms") } else { (seconds, "s") };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

/// Text in lines of at most `width` characters, broken between words; a longer word is broken too.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let chunks = |word: &str| -> Vec<String> {
        word.chars().collect::<Vec<char>>().chunks(width).map(|chunk| chunk.iter().collect()).collect()
    };
    for word in text.split_whitespace().flat_map(chunks) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The progress of a download: `2.0 MiB of 7.0 MiB`; empty before it has started.
pub(crate) fn progress(done: u64, total: Option<u64>) -> String {
    match (done, total) {
        (0, _) => String::new(),
        (done, Some(total)) => format!("{} of {}", bytes(done), bytes(total)),
        (done, None) => bytes(done),
    }
}

/// A duration as people type it: `10m`, `2h`, `90s`, `1d`.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable is", 4), ["unbr", "eaka", "ble", "is"]);
        assert!(wrap("", 4).is_empty());
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1, "fault"), "1 fault");
        assert_eq!(count(0, "fault"), "0 faults");
        for (seconds, text) in [(0, "0s"), (75, "1m 15s"), (3700, "1h 1m"), (90_000, "1d 1h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        for (number, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(bytes(number), text);
        }
        for (seconds, text) in
            [(0.000_012, "0.01 ms"), (0.0123, "12.3 ms"), (0.9996, "1000 ms"), (1.5, "1.50 s"), (125.0, "125 s")]
        {
            assert_eq!(took(seconds), text);
        }
        assert_eq!(parse_span("10m"), Some(Duration::from_secs(600)));
        assert_eq!(parse_span(""), None);
        assert_eq!(parse_span("m"), None);
    }
}
