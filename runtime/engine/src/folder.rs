//! The folders that the host prepares: `<name>` in `.dep/`, and `<service>/<id>` in `.releases/`.

/// The folder of a release, among those that the host prepares.
pub fn folder_of(service: &str, release: &str) -> String {
    format!("{service}/{release}")
}

/// The service and the ID of a release, if this is the folder of one.
pub fn release_of(folder: &str) -> Option<(&str, &str)> {
    folder.split_once('/')
}

/// A folder that the host prepares, relative to the root of the stack.
pub fn shown_folder(folder: &str) -> String {
    let above = if release_of(folder).is_some() { ".releases" } else { ".dep" };
    format!("{above}/{folder}")
}
