//! The program that counts requests with a rate limit: the edge asks it for each of them, and is answered at once.

mod limits;

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Request, Response, StatusCode};
use governor::clock::MonotonicClock;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::limits::Limits;
use crate::{api, descriptors, users};

/// Pause between two looks at who may be forgotten and at what is to be told.
const LOOK: Duration = Duration::from_secs(10);
/// Pause before the next connection is accepted if there is no descriptor for it.
const PAUSE: Duration = Duration::from_millis(20);
/// What is said to a client that sends too much.
const TOO_MUCH: &str = "Too many requests. Please try again later.\n";

/// Where it listens, and for whom.
#[derive(Debug)]
pub struct Place {
    /// The file with the limits.
    pub file: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Where the edge looks for the socket; what is there gives way.
    pub link: PathBuf,
    /// The user as whom the edge runs, by name or number, if that is another one.
    pub user: Option<String>,
}

type Shared = Rc<RefCell<Limits<MonotonicClock>>>;

/// Answers until it is asked to end; then it answers what it has begun. `say` gets a sentence at times, for people.
///
/// # Errors
/// Why it cannot read its limits or listen, as text for people.
pub async fn serve(place: &Place, say: impl Fn(&str)) -> Result<(), String> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path}: {error}")
    };
    let text = fs::read(&place.file).map_err(at(&place.file))?;
    let file: limits::File =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", place.file.display()))?;
    let head_bytes = file.head_bytes;
    let limits: Shared = Rc::new(RefCell::new(Limits::new(file, MonotonicClock)));
    descriptors::raise();
    let listener = api::open_socket(&place.socket).map_err(at(&place.socket))?;
    if let Some(user) = &place.user {
        let user = users::user(user)?;
        lchown(&place.socket, Some(user.uid.as_raw()), None).map_err(at(&place.socket))?;
    }
    put_link(&place.socket, &place.link).map_err(at(&place.link))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let (end, ends) = watch::channel(());
    let mut look = tokio::time::interval(LOOK);
    let tell = || limits.borrow_mut().tell().iter().for_each(|sentence| say(sentence));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(answer(stream, limits.clone(), head_bytes, ends.clone()));
                }
                // Who waits in the kernel's queue is let through by the edge after a moment.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            _ = look.tick() => {
                limits.borrow_mut().forget();
                tell();
            }
            _ = terminate.recv() => break,
        }
    }
    take_link_away(&place.socket, &place.link);
    drop((listener, ends));
    // Connections have nothing under way for longer than a moment.
    let _ = end.send(());
    end.closed().await;
    tell();
    Ok(())
}

/// Puts the socket in the place where the edge looks for it, as a second name of the same file: at no time nobody is there.
fn put_link(socket: &Path, link: &Path) -> io::Result<()> {
    let beside = link.with_extension("new");
    let _ = fs::remove_file(&beside);
    fs::hard_link(socket, &beside)?;
    fs::rename(&beside, link)
}

/// Takes the name away, unless another instance is there by now.
fn take_link_away(socket: &Path, link: &Path) {
    let number = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if number(socket).is_some_and(|own| number(link) == Some(own)) {
        let _ = fs::remove_file(link);
    }
}

/// Answers the requests of a connection.
async fn answer(stream: UnixStream, limits: Shared, head_bytes: usize, mut ends: watch::Receiver<()>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = decide(&mut limits.borrow_mut(), &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        // It never finishes by itself: whoever may connect is the edge, which keeps its connections.
        .max_buf_size(head_bytes.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ends.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The answer to a question: without a limit in it, it is asked whether it is there.
fn decide(limits: &mut Limits<MonotonicClock>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
    let names = text("x-limits").unwrap_or_default();
    let address = text("x-client").unwrap_or_default();
    let counted = limits.count(&names, &address, text);
    let Err(wait) = counted else { return Response::default() };
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut refused = Response::new(Full::from(TOO_MUCH));
    *refused.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = refused.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    refused
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn only_the_edge_may_ask_and_always_finds_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let number = |name: &str| fs::symlink_metadata(path(name)).unwrap().ino();
        let _first = api::open_socket(&path("first.sock")).unwrap();
        put_link(&path("first.sock"), &path(".limits")).unwrap();
        let mode = fs::symlink_metadata(path(".limits")).unwrap().permissions().mode();
        assert_eq!((number(".limits"), mode & 0o777), (number("first.sock"), 0o600));
        UnixStream::connect(path(".limits")).await.unwrap();
        let _second = api::open_socket(&path("second.sock")).unwrap();
        put_link(&path("second.sock"), &path(".limits")).unwrap();
        take_link_away(&path("first.sock"), &path(".limits"));
        assert_eq!(number(".limits"), number("second.sock"), "the next one is left alone");
        take_link_away(&path("second.sock"), &path(".limits"));
        assert!(!path(".limits").exists());
    }
}
