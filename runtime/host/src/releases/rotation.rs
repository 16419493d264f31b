//! Rotates the key of server actions.

use core_stack::Wanted;

use super::actions_key;
use super::home::Home;
use crate::paths::Paths;

pub use super::actions_key::WINDOW;

/// Makes a new key for the releases of a service that are built from now on, when none is being built. What was encrypted
/// with the one before is honoured by them for [`WINDOW`], or refused `at_once`.
///
/// # Errors
/// Why there is no new key, as text for people.
pub async fn rotate(paths: &Paths, service: &str, wanted: &Wanted, at_once: bool) -> Result<(), String> {
    let _home = Home::open(paths, service).await?;
    actions_key::rotate(paths, service, &wanted.building, at_once)
}
