//! The folders that the host prepares: `<name>` in `.dep/`, and `<service>/<id>` in `.releases/`.

use core_manifest::ServiceName;

/// A folder that the host prepares as shown to people, relative to the root of the stack.
pub fn shown_folder(folder: &str) -> String {
    let above = if folder.contains('/') { ".releases" } else { ".dep" };
    format!("{above}/{folder}")
}

/// The folder of a release, among those that the host prepares.
pub fn folder_of(service: &ServiceName, release: &str) -> String {
    format!("{service}/{release}")
}
