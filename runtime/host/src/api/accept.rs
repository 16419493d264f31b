//! Connections to the control socket: a limited number, one request each, and no time for clients that send nothing.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::descriptors;

/// The most connections at a time.
const MOST: usize = 128;
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a new client may take to send its request while others wait for its place.
const PATIENCE_OF_A_CROWD: Duration = Duration::from_millis(100);
/// How often to look for a free place.
const LOOK: Duration = Duration::from_millis(20);
/// The pause before the next try if no descriptor is available for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The UID of the client, if the kernel reports it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<u32>);

/// A connection, and whether it has sent its request.
struct Connection {
    since: Instant,
    task: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

/// Opens a socket that only our user may connect to. An old one at its path belongs to a dead supervisor: the keeper runs
/// one at a time.
///
/// # Errors
/// The error of the system call.
pub(crate) fn open_socket(path: &Path) -> io::Result<UnixListener> {
    // Created beside and renamed, so that a client always finds either the old socket or the new one.
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

/// Accepts connections and answers their requests; it never returns.
pub(crate) async fn serve(listener: UnixListener, app: Router) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    let ended = Rc::new(Notify::new());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Accept with a spare descriptor, so that the client is told what is wrong.
            Err(error) if descriptors::is_exhausted(&error) && descriptors::spare_one() => continue,
            Err(error) => {
                // The client waits in the kernel's queue meanwhile; only a full table of descriptors lasts.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
        };
        make_room(&mut open, &ended).await;
        let has_asked = Arc::new(AtomicBool::new(false));
        let task = tokio::task::spawn_local(answer(stream, app.clone(), has_asked.clone(), ended.clone()));
        open.push_back(Connection { since: Instant::now(), task: task.abort_handle(), has_asked });
    }
}

/// Makes room by dropping the oldest connection that has sent nothing; if all have, or are new, it waits.
async fn make_room(open: &mut VecDeque<Connection>, ended: &Notify) {
    loop {
        open.retain(|one| !one.task.is_finished());
        if open.len() < MOST {
            return;
        }
        let is_silent =
            |one: &Connection| !one.has_asked.load(Ordering::Relaxed) && one.since.elapsed() >= PATIENCE_OF_A_CROWD;
        match open.iter().position(is_silent) {
            Some(silent) => {
                if let Some(one) = open.remove(silent) {
                    one.task.abort();
                }
            }
            None => {
                let _ = tokio::time::timeout(LOOK, ended.notified()).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, app: Router, has_asked: Arc<AtomicBool>, ended: Rc<Notify>) {
    let peer = Peer(stream.peer_cred().ok().map(|peer| peer.uid()));
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request.map(Body::new))
    });
    // A broken connection only concerns its client.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    ended.notify_one();
}
