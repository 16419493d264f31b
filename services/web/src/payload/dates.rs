//! Versions that are past their date, and versions with known faults.

use semver::Version;

/// When the makers of a major version of Next.js stop to mend it: two years after its first release, by their policy
/// (<https://nextjs.org/support-policy>).
const NEXT: [(u64, &str); 4] = [(12, "2023-10-26"), (13, "2024-10-25"), (14, "2025-10-26"), (15, "2026-10-21")];
/// When the makers of a major version of Node.js stop to mend it (<https://nodejs.org/en/about/previous-releases>).
const NODE: [(u64, &str); 8] = [
    (16, "2023-09-11"),
    (18, "2025-04-30"),
    (19, "2023-06-01"),
    (20, "2026-04-30"),
    (21, "2024-06-01"),
    (22, "2027-04-30"),
    (23, "2025-06-01"),
    (24, "2028-04-30"),
];
/// Faults of Next.js: from which version, the first mended version of each minor version, and what they are.
const FAULTS: [(&str, &[&str], &str, &str); 3] = [
    ("11.1.4", &["12.3.5", "13.5.9", "14.2.25", "15.2.3"], "CVE-2025-29927", "anyone can pass by the middleware"),
    (
        "15.0.0",
        &["15.0.5", "15.1.9", "15.2.6", "15.3.6", "15.4.8", "15.5.7", "16.0.7"],
        "CVE-2025-55182",
        "anyone can run code on the server",
    ),
    ("15.0.0", &["15.5.18", "16.2.6"], "GHSA-267c-6grr-h53f and others of May 2026", "the proxy can be passed by"),
];

/// The date after which a version of Next.js is not mended any more, if that has passed.
pub(super) fn next_ended(version: &str, today: &str) -> Option<&'static str> {
    ended(&NEXT, version, today)
}

/// The date after which a version of Node.js is not mended any more, if that has passed.
pub(super) fn node_ended(version: &str, today: &str) -> Option<&'static str> {
    ended(&NODE, version, today)
}

fn ended(table: &'static [(u64, &'static str)], version: &str, today: &str) -> Option<&'static str> {
    let major: u64 = version.split('.').next()?.parse().ok()?;
    let (_, end) = table.iter().find(|(of, _)| *of == major)?;
    // Dates in this form are in the order of their texts.
    (*end < today).then_some(end)
}

/// A fault of a version of Next.js: its name, what it means, and the nearest version without it.
pub(super) fn faults(version: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    let Ok(version) = Version::parse(version) else { return Vec::new() };
    let parse = |text: &str| Version::parse(text).ok();
    let has = |(from, mended, _, _): &&(&str, &'static [&'static str], &str, &str)| {
        let is_mended = mended.iter().filter_map(|one| parse(one)).any(|one| {
            let same_line = one.major == version.major && one.minor <= version.minor;
            same_line && version >= one && !is_older_line(mended, &one, &version)
        });
        let last = mended.iter().filter_map(|one| parse(one)).max();
        let is_newer = last.is_some_and(|last| version >= last);
        parse(from).is_some_and(|from| version >= from) && !is_mended && !is_newer
    };
    let mended = |list: &'static [&'static str]| {
        let later = list.iter().filter(|one| parse(one).is_some_and(|one| one > version));
        later.min_by_key(|one| parse(one)).copied().unwrap_or_default()
    };
    FAULTS.iter().filter(has).map(|(_, list, name, what)| (*name, *what, mended(list))).collect()
}

/// Whether the same major version has a line of mended versions that is nearer to `version` than `one` is.
fn is_older_line(mended: &[&str], one: &Version, version: &Version) -> bool {
    let all = mended.iter().filter_map(|text| Version::parse(text).ok());
    all.filter(|other| other.major == version.major)
        .any(|other| other.minor > one.minor && other.minor <= version.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_its_date_is_known() {
        assert_eq!(next_ended("14.2.35", "2026-11-27"), Some("2025-10-26"));
        assert_eq!(next_ended("16.4.6", "2026-11-27"), None);
        assert_eq!(node_ended("20", "2026-11-27"), Some("2026-04-30"));
        assert_eq!(node_ended("22.1.0", "2026-11-27"), None);
    }

    #[test]
    fn faults_are_those_of_the_version() {
        let names = |version: &str| faults(version).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
        assert_eq!(names("14.2.24")[0], "CVE-2025-29927");
        assert!(!names("14.2.35").contains(&"CVE-2025-29927"));
        assert!(names("15.5.6").contains(&"CVE-2025-55182"));
        assert!(!names("15.5.7").contains(&"CVE-2025-55182"));
        assert!(names("15.1.8").contains(&"CVE-2025-55182"));
        assert!(names("16.0.6").contains(&"CVE-2025-55182"));
        assert!(names("16.1.0").iter().all(|name| *name != "CVE-2025-55182"));
        assert_eq!(names("15.5.29"), [""; 0]);
        assert_eq!(names("16.4.6"), [""; 0]);
        assert_eq!(faults("15.5.6")[0].2, "15.5.7");
    }
}
