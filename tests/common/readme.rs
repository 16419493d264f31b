//! What the README tells its reader to type.

use std::fs;

use super::checkout;

/// The shell blocks of a section of the README, in order.
pub(crate) fn commands(section: &str) -> String {
    let readme = fs::read_to_string(checkout().join("README.md")).expect("the README");
    let section = readme.split("\n## ").find(|text| text.starts_with(section)).expect("the section");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.collect::<Vec<_>>().join("\n")
}
