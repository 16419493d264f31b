//! Whether a name leads to this stack: for the time of a check, the edge answers with what only the check knows.

use serde_json::{Value, json};

use crate::{HERE, HERE_PATH};

/// The route for checks. It is only there while a file of the name in the path is; without, requests go on as if it were
/// not, so that an outsider learns nothing and an app has all of its paths.
pub(crate) fn route(edge: &str) -> Value {
    let folder = format!("{edge}/{HERE}");
    json!({
        "match": [{
            "path": [format!("{HERE_PATH}*")],
            "file": {"root": folder, "try_files": ["{http.request.uri.path.file}"]},
        }],
        "handle": [
            {"handler": "rewrite", "strip_path_prefix": HERE_PATH.trim_end_matches('/')},
            {"handler": "file_server", "root": folder},
        ],
        "terminal": true,
    })
}
