//! Differences that are decisions, each with its reason. Everything else that differs is a fault of core or of a test.

use crate::comparison::Difference;

/// A difference that is meant.
pub(crate) struct Decision {
    /// The header, `status` or `body`.
    what: &'static str,
    /// What `next start` has; `*` is any text.
    next: &'static str,
    /// What the edge has; `*` is any text.
    edge: &'static str,
    /// Why.
    pub(crate) why: &'static str,
}

const fn is(what: &'static str, next: &'static str, edge: &'static str, why: &'static str) -> Decision {
    Decision { what, next, edge, why }
}

/// How it encodes an answer.
const ENCODES: &str =
    "The edge chooses: br from files, else zstd, else gzip; nothing small, no deflate; HEAD says it as GET does.";
/// What it does with an odd path.
const TARGET: &str = "The edge reads the target before it passes it on: what is no URL is 400 or encoded.";
/// What it says about files that it serves.
const FILES: &str = "The edge serves files with a hash in their names itself; a 304 needs no more (RFC 9110, 15.4.5).";
/// What an app sees of the visitor.
const PLACE: &str = "The app knows the host that was asked for, and what the edge believes of the client.";
/// What a server of files does that the plain one of the comparison does not.
const PLAIN: &str = "A server of files has ranges, etags, dates and conditions, and refuses other methods.";
/// What files are called.
const TYPES: &str = "The registered type (RFC 9239), or the same in other letters.";
/// What Go says of an answer without a type.
const GUESSED: &str = "Go gives an answer without a type one, though it has no body: nobody reads it.";

/// What it says of a range that a file does not have.
const RANGE: &str = "A range that is not in the file is 416 (RFC 9110, 15.5.17); Next.js fails on it.";

/// All of them.
const DECIDED: [Decision; 69] = [
    is("server", "-", "Caddy", "The edge names itself."),
    is("via", "-", "1.1 Caddy", "A proxy says that it is one (RFC 9110, 7.6.3)."),
    is("connection", "*", "*", "It is of one connection (RFC 9110, 7.6.1)."),
    is("keep-alive", "*", "*", "It is of one connection (RFC 9110, 7.6.1)."),
    is("transfer-encoding", "*", "*", "How a body is cut up is of one connection (RFC 9112, 6.1)."),
    is("content-encoding", "*", "*", ENCODES),
    is("accept-ranges", "bytes", "-", "An encoded answer has no ranges."),
    is("vary", "-", "accept-encoding", "A 304 has the header that its 200 has (RFC 9110, 15.4.5)."),
    is("etag", "weak", "strong", FILES),
    is("last-modified", "a time", "-", FILES),
    is("content-type", "application/json; charset=utf-8", "-", FILES),
    is("x-nextjs-deployment-id", "{build}", "-", FILES),
    is("content-type", "-", "text/plain; charset=utf-8", GUESSED),
    is("date", "-", "a time", "A target that is too long is refused by the edge."),
    is("location", "http://localhost:port/*", "http://www.example.org/*", PLACE),
    is("body", "host: www.example.org*", "host: www.example.org*via*", PLACE),
    is("body", "{\"url\":\"http://localhost:port/*", "{\"url\":\"http://www.example.org/*", PLACE),
    is("body", "nothing", "400 Bad Request*", TARGET),
    is("status", "404 text/html*", "400 text/plain*", TARGET),
    is("status", "400 ", "404 text/html*", TARGET),
    is("status", "500 text/plain", "400 text/plain*", TARGET),
    is("status", "400 ", "500 text/plain", TARGET),
    is("status", "200 text/html*", "404 text/html*", TARGET),
    is("status", "200 text/plain*", "404 text/html*", TARGET),
    is("status", "308 http://*", "200 text/plain*", TARGET),
    is("status", "500 text/plain*", "416 text/plain*", RANGE),
    is("status", "308 /example.org", "404 text/html*", TARGET),
    is("status", "308 /example.org", "308 *", TARGET),
    is("status", "308 /shop/about", "404 text/html*", TARGET),
    is("status", "308 http://*", "200 text/html*", TARGET),
    is("status", "308 http://*", "404 text/html*", TARGET),
    is("status", "308 /docs/%zz/", "400 text/plain*", TARGET),
    is("status", "308 /about%/", "400 text/plain*", TARGET),
    is("status", "400 ", "308 /*", TARGET),
    is("location", "/about/", "/about%23part/", TARGET),
    is("refresh", "0;url=/about/", "0;url=/about%23part/", TARGET),
    is("body", "/about/", "/about%23part/", TARGET),
    is("location", "http://*", "/about/", TARGET),
    is("refresh", "0;url=http://*", "0;url=/about/", TARGET),
    is("body", "http://*", "/about/", TARGET),
    is("location", "/docs/a:b@c*", "/docs/a:b@c%21*", TARGET),
    is("refresh", "0;url=/docs/a:b@c*", "0;url=/docs/a:b@c%21*", TARGET),
    is("body", "/docs/a:b@c*", "/docs/a:b@c%21*", TARGET),
    is("body", "*a:b@c!*", "*a:b@c%21*", TARGET),
    is("body", "*\"hostname\":\"localhost\"*", "*\"hostname\":\"www.example.org\"*", PLACE),
    is("etag", "-", "strong", PLAIN),
    is("last-modified", "-", "a time", PLAIN),
    is("accept-ranges", "-", "bytes", PLAIN),
    is("content-range", "-", "bytes 0-9/*", PLAIN),
    is("cache-control", "-", "public, max-age=N, immutable", PLAIN),
    is("content-type", "application/javascript; charset=UTF-8", "text/javascript; charset=utf-8", TYPES),
    is("content-type", "text/css; charset=UTF-8", "text/css; charset=utf-8", TYPES),
    is("content-type", "application/json; charset=UTF-8", "application/json", TYPES),
    is("content-type", "application/xml", "text/xml; charset=utf-8", PLAIN),
    is("content-type", "text/html; charset=utf-8", "-", PLAIN),
    is("body", "<!DOCTYPE html>*", "nothing", PLAIN),
    is("body", "<!DOCTYPE html>*", "<!DOCTYPE ", PLAIN),
    is("status", "*", "304 ", PLAIN),
    is("status", "*", "405 ", PLAIN),
    is("status", "200 *", "206 *", PLAIN),
    is("status", "308 /*", "404 text/html*", TARGET),
    is("status", "431 ", "404 text/html*", TARGET),
    is("status", "404 text/plain*", "400 ", TARGET),
    is("status", "404 text/html*", "400 ", TARGET),
    is("status", "404 text/html*", "308 /about/", TARGET),
    is("location", "/about/?", "/about/??a=1", TARGET),
    is("date", "a time", "-", TARGET),
    is("cache-control", "-", "public, max-age=0, must-revalidate", PLAIN),
    is("content-length", "-", "a number", PLAIN),
];

/// The decision that a difference falls under.
pub(crate) fn decision(of: &Difference) -> Option<&'static Decision> {
    DECIDED.iter().find(|one| one.what == of.what && fits(one.next, &of.next) && fits(one.edge, &of.edge))
}

/// Whether a value is as a pattern says, in which `*` stands for any text.
fn fits(pattern: &str, value: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == value };
    let Some(mut value) = value.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = value.find(part) else { return false };
        value = &value[at + part.len()..];
    }
    value.ends_with(end)
}
