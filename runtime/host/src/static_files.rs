//! Serves the files of a static export: what runs of an app that has no server of its own.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::services::ServeDir;

/// The page for what is not there.
const NOT_FOUND: &str = "/404.html";

/// Serves a folder on a port of this host, until it is asked to end; then it answers what it has begun. `base` is where the
/// app lies for its visitors, without the `/` at the end; the edge may have taken it away from the path.
///
/// # Errors
/// Why it cannot listen, or the error of a connection.
pub(crate) async fn serve(folder: &Path, base: &str, port: u16) -> io::Result<()> {
    let (folder, base): (Arc<Path>, Arc<str>) = (folder.into(), base.into());
    let app = Router::new().fallback(move |request: Request| answer(folder.clone(), base.clone(), request));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
}

/// The page of a path, else the file or the folder with this name, else the page for what is not there: the order of
/// "Static Exports" in the documentation of Next.js.
async fn answer(folder: Arc<Path>, base: Arc<str>, request: Request) -> Response {
    // A body may not be looked at by several threads, and nobody needs it.
    let (request, _) = request.into_parts();
    let path = request.uri.path();
    let inner = path.strip_prefix(&*base).filter(|inner| inner.is_empty() || inner.starts_with('/'));
    // A target may be `*`, which is no path.
    let path = inner.unwrap_or(path);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut found = None;
    if !path.ends_with('/') {
        found = get(&folder, &request, &format!("{path}.html")).await;
    }
    if found.is_none() {
        found = get(&folder, &request, &path).await;
    }
    if let Some(mut found) = found {
        let location = found.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let location = location.filter(|_| inner.is_some()).map(|place| format!("{base}{place}"));
        if let Some(location) = location.and_then(|place| HeaderValue::from_str(&place).ok()) {
            found.headers_mut().insert(LOCATION, location);
        }
        // A page is asked for each time: the next release may have another one.
        if !path.starts_with("/_next/static/") {
            found.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
        }
        return found;
    }
    // As a whole, whatever part of the page was asked for.
    let whole = Request::builder().method(request.method.clone()).body(()).unwrap_or_default().into_parts().0;
    let mut page = get(&folder, &whole, NOT_FOUND).await.unwrap_or_default();
    *page.status_mut() = StatusCode::NOT_FOUND;
    page
}

/// A file, as the request wants it; `None` if there is none.
async fn get(folder: &Path, request: &Parts, path: &str) -> Option<Response> {
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri: Uri = format!("{path}{query}").parse().ok()?;
    let mut asked = Request::new(Body::empty());
    (*asked.method_mut(), *asked.uri_mut()) = (request.method.clone(), uri);
    asked.headers_mut().clone_from(&request.headers);
    let mut files = ServeDir::new(PathBuf::from(folder)).append_index_html_on_directories(true);
    let found = files.try_call(asked).await.ok()?;
    if found.status() == StatusCode::NOT_FOUND {
        return None;
    }
    let mut found = found.map(Body::new);
    // A folder has its page behind a slash for good, as Next.js says it.
    if found.status() == StatusCode::TEMPORARY_REDIRECT {
        *found.status_mut() = StatusCode::PERMANENT_REDIRECT;
    }
    // Every text of a build is in this encoding.
    let kind = found.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    if let Some(kind) = kind.filter(|kind| kind.starts_with("text/") && !kind.contains("charset")) {
        let whole = HeaderValue::from_str(&format!("{kind}; charset=utf-8")).ok()?;
        found.headers_mut().insert(CONTENT_TYPE, whole);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn ask(folder: &Path, path: &str) -> (u16, String, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = answer(folder.into(), "/shop".into(), request).await;
        let kind = answer.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn pages_are_found_by_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("about/more")).unwrap();
        let files = ["index.html", "about.html", "about/more/index.html", "404.html", "data.txt", "a b.txt"];
        for name in files {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(root.parent().unwrap().join("outside.txt"), "").unwrap();
        for (path, status, body) in [
            ("/", 200, "index.html"),
            ("/about", 200, "about.html"),
            ("/about?a=b", 200, "about.html"),
            ("/about/more/", 200, "about/more/index.html"),
            ("/about/more", 308, ""),
            ("*", 404, "404.html"),
            ("/shop", 200, "index.html"),
            ("/shop/about", 200, "about.html"),
            ("/shopping", 404, "404.html"),
            ("/data.txt", 200, "data.txt"),
            ("/a%20b.txt", 200, "a b.txt"),
            ("/none", 404, "404.html"),
            ("/../outside.txt", 404, "404.html"),
            ("/%2e%2e/outside.txt", 404, "404.html"),
            ("/%2e%2e%2foutside.txt", 404, "404.html"),
        ] {
            let (have, kind, text) = ask(root, path).await;
            assert_eq!((have, text.as_str()), (status, body), "{path}");
            assert!(text.is_empty() || kind.ends_with("; charset=utf-8"), "{path}: {kind}");
        }
        fs::remove_file(root.join("404.html")).unwrap();
        assert_eq!(ask(root, "/none").await, (404, String::new(), String::new()));
    }
}
