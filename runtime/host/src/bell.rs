//! The socket that the edge sends requests to for previews that sleep: whoever asks is told to come again in a moment, and
//! the preview is started.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, HOST, REFRESH, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use crate::api;
use crate::edge::BELL;

/// What is said of a preview that is being started.
const STARTING: &str = "This preview is starting. The page loads again by itself.\n";

/// Opens the socket, in the folder of the pointers.
///
/// # Errors
/// The error of the system call.
pub(crate) fn open(edge: &Path) -> io::Result<UnixListener> {
    api::open_socket(&edge.join(BELL))
}

/// Gives a socket to the user as whom the edge runs, who connects to it, if that is not its owner.
pub(crate) fn give_to(path: &Path, reader: Option<u32>) {
    let owner = reader.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
    let is_other = fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() != owner);
    if is_other && let Err(error) = lchown(path, Some(owner), None) {
        tracing::warn!("the edge cannot ask core: {}: {error}", path.display());
    }
}

/// Answers requests, and reports the first label of the host that each is for; it never returns.
pub(crate) async fn serve(listener: UnixListener, rings: mpsc::UnboundedSender<String>) {
    let app = Router::new().fallback(move |request: Request| {
        if let Some(label) = label(request.headers()) {
            let _ = rings.send(label);
        }
        let headers = [(RETRY_AFTER, "2"), (REFRESH, "2"), (CACHE_CONTROL, "no-store")];
        async move { (StatusCode::SERVICE_UNAVAILABLE, headers, STARTING) }
    });
    api::serve(listener, app).await;
}

/// The first label of the host that a request is for.
fn label(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    Some(host.split(['.', ':']).next().unwrap_or_default().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn only_the_edge_may_ask() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = open(folder.path()).unwrap();
        let meta = || fs::symlink_metadata(folder.path().join(BELL)).unwrap();
        assert_eq!(meta().permissions().mode() & 0o777, 0o600);
        let own = meta().uid();
        give_to(&folder.path().join(BELL), Some(4711));
        assert_eq!(meta().uid(), if nix::unistd::geteuid().is_root() { 4711 } else { own });
        give_to(&folder.path().join(BELL), None);
        assert_eq!(meta().uid(), own);
    }

    #[test]
    fn the_label_is_that_of_the_host() {
        let of = |host: &str| label(&HeaderMap::from_iter([(HOST, host.parse().unwrap())]));
        assert_eq!(of("PR-12.web.localhost:8080").as_deref(), Some("pr-12"));
        assert_eq!(of("a.b").as_deref(), Some("a"));
        assert_eq!(label(&HeaderMap::new()), None);
    }
}
