//! How a route is asked for: as browsers, caches and curious people do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::client::{Answer, Request};

/// What the router of a browser knows of the page that it shows: the start page.
const TREE: &str = "%5B%22%22%2C%7B%22children%22%3A%5B%22__PAGE__%22%2C%7B%7D%5D%7D%2Cnull%2Cnull%5D";
/// How much of a hash is in `_rsc`.
const DIGEST: usize = 12;

/// A way to ask for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A GET, and nothing more.
    Plain,
    /// With cookies.
    Cookies,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// A POST of a text.
    Post,
    /// The first bytes.
    Range,
    /// With the ETag of the first answer.
    NoneMatch,
    /// With the time of the first answer.
    ModifiedSince,
    /// With a value of `Accept-Encoding`.
    Encoding(&'static str),
    /// HEAD with an encoding.
    HeadEncoded,
    /// The first bytes with an encoding.
    RangeEncoded,
    /// Encoded, with the ETag of the encoded answer.
    NoneMatchEncoded,
    /// As the router asks for a page, without `_rsc`.
    Part,
    /// As the router asks for a page.
    PartNamed,
    /// The same with another page's `_rsc`.
    PartMisnamed,
    /// As the router asks ahead of a click.
    PartAhead,
    /// `_rsc` in the address of a document.
    Union,
}

/// For every app.
const ALWAYS: [Manner; 17] = [
    Manner::Plain,
    Manner::Cookies,
    Manner::Head,
    Manner::Options,
    Manner::Post,
    Manner::Range,
    Manner::NoneMatch,
    Manner::ModifiedSince,
    Manner::Encoding("identity"),
    Manner::Encoding("gzip"),
    Manner::Encoding("br"),
    Manner::Encoding("zstd"),
    Manner::Encoding("gzip, deflate, br, zstd"),
    Manner::Encoding("gzip;q=0, *;q=0.5"),
    Manner::HeadEncoded,
    Manner::RangeEncoded,
    Manner::NoneMatchEncoded,
];
/// For apps with the app router.
const PARTS: [Manner; 5] = [Manner::Part, Manner::PartNamed, Manner::PartMisnamed, Manner::PartAhead, Manner::Union];

impl Manner {
    /// All that fit.
    pub(crate) fn all(has_parts: bool) -> impl Iterator<Item = Self> {
        ALWAYS.into_iter().chain(PARTS.into_iter().filter(move |_| has_parts))
    }

    /// Its name in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Plain => "GET".into(),
            Self::Cookies => "GET with cookies".into(),
            Self::Head => "HEAD".into(),
            Self::Options => "OPTIONS".into(),
            Self::Post => "POST".into(),
            Self::Range => "Range".into(),
            Self::NoneMatch => "If-None-Match".into(),
            Self::ModifiedSince => "If-Modified-Since".into(),
            Self::Encoding(value) => format!("Accept-Encoding: {value}"),
            Self::HeadEncoded => "HEAD, gzip".into(),
            Self::RangeEncoded => "Range, gzip".into(),
            Self::NoneMatchEncoded => "If-None-Match, gzip".into(),
            Self::Part => "RSC".into(),
            Self::PartNamed => "RSC, right _rsc".into(),
            Self::PartMisnamed => "RSC, wrong _rsc".into(),
            Self::PartAhead => "RSC, prefetch".into(),
            Self::Union => "GET with _rsc".into(),
        }
    }

    /// What must be asked before, for what it has to say.
    pub(crate) fn first(self, path: &str) -> Option<Request> {
        match self {
            Self::NoneMatch | Self::ModifiedSince => Some(Request::get(path)),
            Self::NoneMatchEncoded => Some(Request::get(path).with("Accept-Encoding", "gzip")),
            _ => None,
        }
    }

    /// The request for a path, on the side that gave this first answer.
    pub(crate) fn request(self, path: &str, first: &Answer) -> Request {
        let get = || Request::get(path);
        let of_first = |name: &str, absent: &str| first.header(name).unwrap_or_else(|| absent.into());
        match self {
            Self::Plain => get(),
            Self::Cookies => get().with("Cookie", "a=1; NEXT_LOCALE=de; b=\"two words\""),
            Self::Head => Request::of("HEAD", path),
            Self::Options => Request::of("OPTIONS", path)
                .with("Origin", "https://other.example")
                .with("Access-Control-Request-Method", "POST"),
            Self::Post => {
                let request = Request::of("POST", path).with("Content-Type", "text/plain");
                Request { body: Some(b"a text".to_vec()), ..request }
            }
            Self::Range => get().with("Range", "bytes=0-9"),
            Self::NoneMatch => get().with("If-None-Match", &of_first("etag", "\"none\"")),
            Self::ModifiedSince => {
                get().with("If-Modified-Since", &of_first("last-modified", "Sat, 01 Jan 2000 00:00:00 GMT"))
            }
            Self::Encoding(value) => get().with("Accept-Encoding", value),
            Self::HeadEncoded => Request::of("HEAD", path).with("Accept-Encoding", "gzip"),
            Self::RangeEncoded => get().with("Range", "bytes=0-9").with("Accept-Encoding", "gzip"),
            Self::NoneMatchEncoded => {
                get().with("Accept-Encoding", "gzip").with("If-None-Match", &of_first("etag", "\"none\""))
            }
            Self::Part => of_router(path),
            Self::PartNamed => of_router(&named(path, &name_of(&["0", "0", TREE, "/"]))),
            Self::PartMisnamed => of_router(&named(path, "wrong")),
            Self::PartAhead => Request::get(&named(path, &name_of(&["1", "/_tree", "0", "/"])))
                .with("RSC", "1")
                .with("Next-Router-Prefetch", "1")
                .with("Next-Router-Segment-Prefetch", "/_tree")
                .with("Next-Url", "/"),
            Self::Union => Request::get(&named(path, "wrong")),
        }
    }
}

/// A page, for the router of a browser that shows the start page.
fn of_router(path: &str) -> Request {
    Request::get(path).with("RSC", "1").with("Next-Router-State-Tree", TREE).with("Next-Url", "/")
}

fn named(path: &str, name: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}_rsc={name}")
}

/// `_rsc`, as Next makes it of the headers (`cache-busting-search-param`).
fn name_of(headers: &[&str; 4]) -> String {
    let digest = Sha256::digest(headers.join(",").as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..DIGEST])
}
