//! The version of Node.js that an app wants, and the sources that have it.

use semver::{Comparator, Op, Version, VersionReq};
use serde_json::Value;

/// What is required at least: the range of Next.js 16.
const LEAST: &str = ">=20.9";
/// Versions that the package index has as a wheel, the newest first; the first is the default.
const WHEELS: [&str; 3] = ["24.19.0", "22.20.0", "20.18.0"];

/// Which node is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The range that an installed one has to be in, as a semver requirement.
    pub range: String,
    /// The version to fetch.
    pub version: &'static str,
}

impl Node {
    /// The node of an app, by what it says: `.nvmrc` or `.node-version`, else `engines.node` of its `package.json`. What
    /// cannot be read says nothing.
    pub fn of(version_file: Option<&str>, package: &str) -> Self {
        let package: Value = serde_json::from_str(package).unwrap_or_default();
        let wanted = version_file.and_then(pinned).or_else(|| {
            let range = package["engines"]["node"].as_str()?;
            let any: Vec<VersionReq> = range.split("||").filter_map(range_of).collect();
            (!any.is_empty()).then_some(any)
        });
        let Some(wanted) = wanted else { return Self { range: LEAST.into(), version: WHEELS[0] } };
        let fits = |version: &&str| {
            Version::parse(version).is_ok_and(|version| wanted.iter().any(|range| range.matches(&version)))
        };
        let wheel = WHEELS.into_iter().find(|version| fits(version));
        let range = match wanted.as_slice() {
            // Next.js wants its own, too.
            [range] if range.comparators.is_empty() => LEAST.to_owned(),
            [range] => format!("{LEAST}, {range}"),
            // One requirement cannot say `or`: the major version that would be fetched.
            _ => {
                wheel.map_or_else(|| LEAST.to_owned(), |wheel| format!("^{}", wheel.split('.').next().unwrap_or(wheel)))
            }
        };
        Self { range, version: wheel.unwrap_or(WHEELS[0]) }
    }
}

/// The text of `.nvmrc`: `22`, `v22.11.0`. Other words, such as `lts/*`, mean the newest.
fn pinned(text: &str) -> Option<Vec<VersionReq>> {
    let word = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let number = word.trim_start_matches('v');
    let parts: Option<Vec<u64>> = number.split('.').map(|part| part.parse().ok()).collect();
    let parts = parts.filter(|parts| !parts.is_empty() && parts.len() <= 3)?;
    // Within a major version the host's is as good as another: a wheel may not have exactly this one.
    let comparator =
        Comparator { op: Op::Caret, major: parts[0], minor: None, patch: None, pre: semver::Prerelease::EMPTY };
    Some(vec![VersionReq { comparators: vec![comparator] }])
}

/// One range as npm writes it: `>=18 <23`, `22.x`, `^22.11`, `20`.
fn range_of(text: &str) -> Option<VersionReq> {
    let text = text.trim();
    if text.is_empty() || text == "*" {
        return Some(VersionReq::STAR);
    }
    // npm allows a space after the operator, and joins by spaces.
    let mut words = text.to_owned();
    for operator in [">=", "<=", ">", "<", "~", "^", "="] {
        words = words.replace(&format!("{operator} "), operator);
    }
    let plain = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let words: Vec<String> = words
        .split_whitespace()
        .map(|word| {
            let word = word.trim_end_matches(".x").trim_end_matches(".x").replace('v', "");
            // A number alone is exact for npm as far as it goes.
            if plain(&word) && word.matches('.').count() < 2 { format!("~{word}") } else { word }
        })
        .collect();
    VersionReq::parse(&words.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_says_which_node_it_wants() {
        let default = Node { range: LEAST.into(), version: "24.19.0" };
        assert_eq!(Node::of(None, "{}"), default);
        assert_eq!(Node::of(Some("lts/*\n"), "{}"), default);
        assert_eq!(Node::of(Some("v22.11.0\n"), "{}"), Node { range: ">=20.9, ^22".into(), version: "22.20.0" });
        assert_eq!(
            Node::of(Some("20"), r#"{"engines": {"node": ">=24"}}"#).version,
            "20.18.0",
            "the file counts first"
        );
        for (range, version) in [
            (">=20", "24.19.0"),
            (">=18 <23", "22.20.0"),
            (">= 18.17.0 < 21", "20.18.0"),
            ("22.x", "22.20.0"),
            ("^20.9.0 || ^22", "22.20.0"),
            ("20", "20.18.0"),
            ("*", "24.19.0"),
            ("nonsense", "24.19.0"),
        ] {
            let node = Node::of(None, &format!(r#"{{"engines": {{"node": "{range}"}}}}"#));
            assert_eq!(node.version, version, "{range}");
            assert!(
                VersionReq::parse(&node.range).is_ok_and(|range| range.matches(&Version::parse(version).unwrap())),
                "{node:?}"
            );
        }
    }
}
