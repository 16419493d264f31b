//! The socket that the edge sends requests to for previews that sleep: whoever asks is told to come again in a moment, and
//! the preview is started.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use core_manifest::ServiceSpec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use crate::edge::BELL;
use crate::identity;

/// How long a request may take to arrive, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes: that of Go's server, which has read it before.
const LONGEST: u64 = 1 << 20;
/// How many requests are answered at once.
const AT_ONCE: usize = 32;
/// What is said of a preview that is being started.
const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nRefresh: 2\r\nCache-Control: no-store\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 58\r\nConnection: close\r\n\r\n\
    This preview is starting. The page loads again by itself.\n";

/// Opens the socket, in the folder of the pointers.
///
/// # Errors
/// The error of the system call.
pub(crate) fn open(edge: &Path) -> io::Result<UnixListener> {
    let path = edge.join(BELL);
    let beside = edge.join(format!("{BELL}.new"));
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

/// Gives the socket to the user as whom the edge runs, who connects to it; that may be another one than ours.
pub(crate) fn give_to(edge: &Path, spec: &ServiceSpec) {
    let user = identity::numbers(&spec.identity).ok().and_then(|numbers| numbers.user);
    let owner = user.map_or_else(|| nix::unistd::geteuid().as_raw(), |(user, ..)| user);
    let path = edge.join(BELL);
    let is_other = fs::symlink_metadata(&path).is_ok_and(|meta| meta.uid() != owner);
    if is_other && let Err(error) = lchown(&path, Some(owner), None) {
        tracing::warn!("the edge cannot ask for previews that sleep: {}: {error}", path.display());
    }
}

/// Answers requests, and reports the first label of the host that each is for; it never returns.
pub(crate) async fn serve(listener: UnixListener, rings: mpsc::UnboundedSender<String>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is left, for example: the next request may find one.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let rings = rings.clone();
        tokio::task::spawn_local(async move {
            let _turn = turn;
            if let Ok(Some(label)) = tokio::time::timeout(PATIENCE, answer(stream)).await {
                let _ = rings.send(label);
            }
        });
    }
}

/// Reads the head of a request, and answers it. Returns the first label of its host.
async fn answer(mut stream: UnixStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0_u8; 4096];
    let mut limited = (&mut stream).take(LONGEST);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match limited.read(&mut piece).await {
            Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
    let label = label(&String::from_utf8_lossy(&head));
    let _ = stream.write_all(ANSWER.as_bytes()).await;
    let _ = stream.shutdown().await;
    label
}

/// The first label of the host in the head of a request.
fn label(head: &str) -> Option<String> {
    let host = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    })?;
    Some(host.split(['.', ':']).next().unwrap_or_default().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_edge_may_ask() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = open(folder.path()).unwrap();
        let meta = || fs::symlink_metadata(folder.path().join(BELL)).unwrap();
        assert_eq!(meta().permissions().mode() & 0o777, 0o600);
        let mut edge = ServiceSpec::bare(core_manifest::ServiceName::new("caddy").unwrap(), "caddy");
        let own = meta().uid();
        edge.identity.user = Some("nobody".into());
        give_to(folder.path(), &edge);
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(meta().uid() != own, is_root);
        edge.identity.user = None;
        give_to(folder.path(), &edge);
        assert_eq!(meta().uid(), own);
    }

    #[test]
    fn the_label_is_that_of_the_host() {
        let of = |line: &str| label(&format!("GET / HTTP/1.1\r\nAccept: */*\r\n{line}\r\n\r\n"));
        assert_eq!(of("Host: PR-12.web.localhost:8080").as_deref(), Some("pr-12"));
        assert_eq!(of("host:a.b").as_deref(), Some("a"));
        assert_eq!(of("X-Host: a.b"), None);
    }

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, body) = ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
