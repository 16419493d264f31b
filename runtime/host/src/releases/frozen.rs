//! Variables that a build froze: a release that was built elsewhere has the values of that place.

use std::collections::BTreeMap;

use core_stack::{Building, hex};
use sha2::{Digest as _, Sha256};

use super::record::Record;

/// The variables of a build, each with a digest of its value.
pub(super) fn digests(building: &Building) -> BTreeMap<String, String> {
    building.identity.iter().map(|(name, value)| (name.clone(), digest(name, value))).collect()
}

/// What tells two values of a variable apart.
fn digest(name: &str, value: &str) -> String {
    let hash = Sha256::new().chain_update(name).chain_update([0]).chain_update(value).finalize();
    hex(&hash[..8])
}

/// Whether a release was built with the values that this stack has.
///
/// # Errors
/// The variables whose values differ, as text for people.
pub(super) fn compare(record: &Record, building: &Building) -> Result<(), String> {
    let here = digests(building);
    let names = record.variables.keys().chain(here.keys());
    let mut differ: Vec<&str> =
        names.filter(|name| record.variables.get(*name) != here.get(*name)).map(String::as_str).collect();
    differ.sort_unstable();
    differ.dedup();
    if differ.is_empty() {
        return Ok(());
    }
    let names = differ.join(", ");
    Err(format!(
        "release {} was built with other values of {names} than this stack has; build it with these",
        record.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_differ_are_named() {
        let building = |pairs: &[(&str, &str)]| Building {
            identity: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Building::default()
        };
        let built = building(&[("NEXT_PUBLIC_A", "1"), ("NEXT_PUBLIC_B", "2")]);
        let record = Record { variables: digests(&built), ..Record::default() };
        assert!(!record.variables.values().any(|digest| digest == "1"));
        assert_eq!(compare(&record, &built), Ok(()));
        let error = compare(&record, &building(&[("NEXT_PUBLIC_A", "1"), ("NEXT_PUBLIC_C", "3")])).unwrap_err();
        assert!(error.contains("NEXT_PUBLIC_B, NEXT_PUBLIC_C than"), "{error}");
    }
}
