//! The apps, and what is asked of each.

use std::path::PathBuf;

use crate::common::checkout;

/// What serves an app on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `next start`.
    Server,
    /// A server of files, for an export.
    Files,
}

/// An app.
pub(crate) struct App {
    /// Name of its folder.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// What serves it on the other side.
    pub(crate) kind: Kind,
    /// A page with scripts, which answers once the server does.
    pub(crate) start: &'static str,
    /// What stands before every path.
    pub(crate) base: &'static str,
    /// Whether it has the app router, whose pages are asked for in parts.
    pub(crate) has_parts: bool,
    /// Paths, each of which is asked for in every manner.
    pub(crate) routes: &'static [&'static str],
    /// What is asked beside that, in this order.
    pub(crate) extras: &'static [Extra],
}

impl App {
    /// Its sources.
    pub(crate) fn folder(&self) -> PathBuf {
        checkout().join("benches/routes/apps").join(self.name)
    }
}

/// What a request has for a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// None.
    None,
    /// A text.
    Text(&'static str),
    /// The first form of the page, as a browser without scripts sends it, with these fields filled in.
    Form(&'static [(&'static str, &'static str)]),
}

/// One request. In its path `{build}` stands for the build id, `{script}` and `{style}` for files of the start page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    /// `GET`.
    pub(crate) method: &'static str,
    /// Its path.
    pub(crate) path: &'static str,
    /// Its headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Its body.
    pub(crate) body: Body,
    /// A path that is asked for first; the cookies of that answer are sent.
    pub(crate) after: Option<&'static str>,
}

const fn get(path: &'static str) -> Extra {
    with(path, &[])
}

const fn with(path: &'static str, headers: &'static [(&'static str, &'static str)]) -> Extra {
    Extra { method: "GET", path, headers, body: Body::None, after: None }
}

const fn send(method: &'static str, path: &'static str, kind: &'static [(&'static str, &'static str)]) -> Extra {
    Extra { method, path, headers: kind, body: Body::Text("{\"a\": \"ü\"}"), after: None }
}

const fn form(path: &'static str, fields: &'static [(&'static str, &'static str)]) -> Extra {
    Extra { method: "POST", path, headers: &[], body: Body::Form(fields), after: None }
}

const fn after(first: &'static str, path: &'static str) -> Extra {
    Extra { after: Some(first), ..get(path) }
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const AVIF: &[(&str, &str)] = &[("Accept", "image/avif,image/webp,*/*")];
const WEBP: &[(&str, &str)] = &[("Accept", "image/webp,*/*")];
const DATA: &[(&str, &str)] = &[("x-nextjs-data", "1")];

/// All of them.
pub(crate) const APPS: [App; 5] = [
    App {
        name: "app",
        about: "app router: actions, streams, proxy, rules of next.config, every kind of route",
        kind: Kind::Server,
        start: "/",
        base: "",
        has_parts: true,
        routes: &[
            "/",
            "/about",
            "/about?mark=1",
            "/who",
            "/who?a=1&a=2&b=%C3%BC",
            "/action",
            "/stream",
            "/events",
            "/board",
            "/board/more",
            "/photos",
            "/photos/1",
            "/draft",
            "/docs/a",
            "/docs/a/b%20c",
            "/docs",
            "/shop",
            "/shop/x/y",
            "/posts/one",
            "/posts/gr%C3%B6%C3%9Fe",
            "/posts/two%20words",
            "/posts/none",
            "/items/first",
            "/items/second",
            "/items/none",
            "/isr",
            "/missing",
            "/moved",
            "/broken",
            "/stra%C3%9Fe",
            "/%E6%97%A5%E6%9C%AC/%E4%BA%AC",
            "/picture",
            "/nowhere",
            "/api/echo?q=1",
            "/api/own",
            "/api/fixed",
            "/api/url?x=1",
            "/api/seen",
            "/api/redirect",
            "/api/large",
            "/api/large?image=1",
            "/api/encoded",
            "/api/cookies",
            "/api/broken",
            "/robots.txt",
            "/robots.txt?json=1",
            "/.well-known/x",
            "/two%20words.txt",
            "/gr%C3%B6%C3%9Fe.txt",
            "/data.json",
            "/long.txt",
            "/logo.svg",
            "/folder",
            "/folder/index.html",
            "/icon.svg",
            "/opengraph-image",
            "/sitemap.xml",
            "/manifest.webmanifest",
            "/old/a/b",
            "/away",
            "/see-other",
            "/beta",
            "/members",
            "/alias/a/b",
            "/fallback/x",
            "/proxy/rewrite",
            "/proxy/static",
            "/proxy/redirect",
            "/proxy/answer",
            "/proxy/cookie",
            "/proxy/none",
            "{script}",
            "{style}",
            "/_next/static/chunks/none.js",
            "/_next/static/{build}/_buildManifest.js",
            "/_next/nothing",
            "/_next/image?url=%2Fpicture.png&w=64&q=75",
        ],
        extras: &[
            with("/beta", &[("x-beta", "one")]),
            with("/members", &[("Cookie", "member=1")]),
            with("/about", &[("Cookie", "seen=1")]),
            with("/photos/1", &[("RSC", "1"), ("Next-Url", "/photos")]),
            with("/stream", &[("User-Agent", "Googlebot/2.1"), ("Accept-Encoding", "gzip")]),
            with("/_next/image?url=%2Fpicture.png&w=64&q=75", AVIF),
            with("/_next/image?url=%2Fpicture.png&w=64&q=75", WEBP),
            with("/_next/image?url=%2Fpicture.png&w=64&q=75", WEBP),
            get("/_next/image?url=%2Fpicture.png&w=63&q=75"),
            get("/_next/image?url=%2Fpicture.png&w=64&q=74"),
            get("/_next/image?url=%2Fnone.png&w=64&q=75"),
            get("/_next/image?url=https%3A%2F%2Fexample.org%2Fa.png&w=64&q=75"),
            get("/_next/image?url=%2Flogo.svg&w=64&q=75"),
            get("/_next/image"),
            with("/long.txt", &[("Range", "bytes=0-3,10-12")]),
            with("/long.txt", &[("Range", "bytes=99999-")]),
            with("/long.txt", &[("Range", "bytes=-5"), ("Accept-Encoding", "gzip")]),
            with("/long.txt", &[("Range", "bytes=0-9"), ("If-Range", "\"other\"")]),
            with("/long.txt", &[("If-Match", "\"other\"")]),
            with("/long.txt", &[("If-None-Match", "*")]),
            send("POST", "/api/echo", JSON),
            send("PUT", "/api/echo", JSON),
            send("DELETE", "/api/echo", JSON),
            send("PATCH", "/about", JSON),
            send("TRACE", "/about", JSON),
            send("POST", "/robots.txt", JSON),
            send("POST", "/action", &[("Content-Type", "text/plain"), ("Next-Action", "00")]),
            send("POST", "/action", &[("Content-Type", "application/x-www-form-urlencoded")]),
            with("/api/echo", &[("Expect", "100-continue")]),
            with("/api/echo", &[("X-Long", LONG)]),
            with("/api/seen", &[("X-Forwarded-Host", "evil.example"), ("X-Forwarded-For", "9.9.9.9")]),
            with("/who", &[("X-Forwarded-Host", "evil.example"), ("X-Middleware-Subrequest", "proxy:proxy:proxy")]),
            with("/proxy/answer", &[("X-Middleware-Subrequest", "proxy:proxy:proxy:proxy:proxy")]),
            with("/about", &[("x-invoke-path", "/who"), ("x-matched-path", "/who")]),
            form("/action", &[("text", "kept")]),
            form("/action", &[("text", "sent on"), ("go", "1")]),
            Extra { headers: &[("Origin", "http://www.example.org")], ..form("/action", &[("text", "same")]) },
            Extra { headers: &[("Origin", "https://evil.example")], ..form("/action", &[("text", "other")]) },
            get("/draft/on"),
            after("/draft/on", "/draft"),
            get("/draft/off"),
            with("/draft", &[("Cookie", "__prerender_bypass=wrong")]),
            send("POST", "/api/revalidate", JSON),
            get("/isr"),
            get("/isr"),
        ],
    },
    App {
        name: "pages",
        about: "pages router: basePath, i18n, middleware, every kind of page",
        kind: Kind::Server,
        start: "/shop",
        base: "/shop",
        has_parts: false,
        routes: &[
            "/",
            "/shop",
            "/shop/de",
            "/shop/en",
            "/shop/xx",
            "/shop/about",
            "/shop/de/about?a=1",
            "/shop/static",
            "/shop/fr/static",
            "/shop/isr",
            "/shop/de/isr",
            "/shop/posts/one",
            "/shop/de/posts/gr%C3%B6%C3%9Fe",
            "/shop/posts/none",
            "/shop/items/first",
            "/shop/items/second",
            "/shop/items/none",
            "/shop/items/moved",
            "/shop/lazy/1",
            "/shop/any",
            "/shop/any/a/b%2Fc",
            "/shop/gone",
            "/shop/moved",
            "/shop/broken",
            "/shop/nowhere",
            "/shop/api/hello?q=1",
            "/shop/api/all/a/b",
            "/shop/api/none",
            "/shop/api/broken",
            "/shop/old/one",
            "/outside",
            "/shop/de/alt",
            "/shop/alias/one",
            "/shop/other-api/x",
            "/shop/middle/redirect",
            "/shop/middle/rewrite",
            "/shop/middle/none",
            "/shop/hello.txt",
            "/hello.txt",
            "/shop/two%20words.txt",
            "/shop/long.txt",
            "{script}",
            "/shop/_next/static/chunks/none.js",
            "/shop/_next/static/{build}/_buildManifest.js",
            "/shop/_next/data/{build}/en.json",
            "/shop/_next/data/{build}/de/static.json",
            "/shop/_next/data/{build}/en/about.json?a=1",
            "/shop/_next/data/{build}/en/posts/one.json?id=one",
            "/shop/_next/data/{build}/en/posts/none.json?id=none",
            "/shop/_next/data/{build}/en/items/third.json?id=third",
            "/shop/_next/data/{build}/en/gone.json",
            "/shop/_next/data/{build}/en/moved.json",
            "/shop/_next/data/{build}/en/broken.json",
            "/shop/_next/data/{build}/en/nowhere.json",
            "/shop/_next/data/another/en/static.json",
            "/shop/_next/image?url=%2Fshop%2Fpicture.png&w=64&q=75",
        ],
        extras: &[
            with("/shop", &[("Accept-Language", "de-AT,de;q=0.9")]),
            with("/shop", &[("Cookie", "NEXT_LOCALE=fr"), ("Accept-Language", "de")]),
            with("/shop/static", &[("Cookie", "mark=red")]),
            with("/shop/_next/data/{build}/en/about.json", DATA),
            with("/shop/_next/data/{build}/en/middle/redirect.json", DATA),
            with("/shop/_next/data/{build}/en/middle/rewrite.json", DATA),
            with("/shop/_next/data/{build}/en/old/one.json", DATA),
            with("/shop/_next/data/{build}/en/nowhere.json", DATA),
            with("/shop/_next/image?url=%2Fshop%2Fpicture.png&w=64&q=75", WEBP),
            get("/shop/_next/image?url=%2Fpicture.png&w=64&q=75"),
            send("POST", "/shop/api/hello", JSON),
            send("POST", "/shop/api/hello", &[("Content-Type", "application/json"), ("Accept-Encoding", "gzip")]),
            send("DELETE", "/shop/api/hello", JSON),
            send("POST", "/shop/about", JSON),
            send("POST", "/shop/static", JSON),
            get("/shop/api/preview"),
            after("/shop/api/preview", "/shop/static"),
            send("POST", "/shop/api/revalidate", JSON),
            get("/shop/isr"),
            get("/shop/lazy/1"),
            get("/shop/lazy/1"),
        ],
    },
    App {
        name: "components",
        about: "cacheComponents: 'use cache', tags, partly prerendered pages",
        kind: Kind::Server,
        start: "/",
        base: "",
        has_parts: true,
        routes: &[
            "/",
            "/hole",
            "/cached",
            "/whole",
            "/products/one",
            "/products/two",
            "/search",
            "/search?q=1",
            "/action",
            "/api/stamp",
            "/nowhere",
            "{script}",
        ],
        extras: &[
            with("/hole", &[("Cookie", "name=somebody")]),
            with("/hole", &[("User-Agent", "Googlebot/2.1")]),
            with("/hole", &[("Next-Resume", "1")]),
            form("/action", &[]),
            get("/action"),
            send("POST", "/api/revalidate", JSON),
            get("/cached"),
        ],
    },
    App {
        name: "export",
        about: "output: 'export' with trailingSlash",
        kind: Kind::Files,
        start: "/",
        base: "",
        has_parts: false,
        routes: &[
            "/",
            "/about",
            "/about/",
            "/docs/first/",
            "/docs/deep/in/there",
            "/docs/deep/in/there/",
            "/docs/",
            "/docs/gr%C3%B6%C3%9Fe/",
            "/feed.xml",
            "/hello.txt",
            "/two%20words.txt",
            "/.well-known/x",
            "/nowhere",
            "/nowhere/",
            "/404.html",
            "/index.html",
            "/about/index.html",
            "{script}",
            "/_next/static/chunks/none.js",
        ],
        extras: &[],
    },
    App {
        name: "webpack",
        about: "built by the script `next build --webpack`, with trailingSlash",
        kind: Kind::Server,
        start: "/",
        base: "",
        has_parts: true,
        routes: &[
            "/",
            "/about",
            "/about/",
            "/items/one/",
            "/items/one",
            "/api/echo/?q=1",
            "/api/echo",
            "/old",
            "/old/",
            "/alias",
            "/alias/",
            "/hello.txt",
            "/.well-known/x",
            "/nowhere",
            "/nowhere/",
            "/nowhere.txt",
            "{script}",
            "/_next/static/chunks/none.js",
        ],
        extras: &[],
    },
];

/// A header that is long, but not too long for either side.
const LONG: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
