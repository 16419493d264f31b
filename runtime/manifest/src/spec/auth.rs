//! Resolves who is let in by the edge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use crate::diagnostic::Diagnostic;
use crate::logins;
use crate::manifest::auth::{Auth as Written, Forward};
use crate::name::ServiceName;
use crate::origin::{Origin, Value};
use crate::template::{Piece, Template};
use crate::unbelieved::is_unbelieved;

/// Headers with more words than this are refused: each way to spell them is removed from requests.
const MOST_WORDS: usize = 6;

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Everybody.
    Off,
    /// These users, each with the hash of the password.
    Basic(BTreeMap<String, Template>),
    /// Those whom another service lets in.
    Forward {
        /// The service that is asked.
        asked: Asked,
        /// Headers of its answer that the app gets.
        headers: Vec<String>,
    },
}

/// A service that is asked about each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// One at an address.
    Address {
        /// Host and port.
        dial: String,
        /// Whether it speaks TLS.
        is_secure: bool,
        /// The path, with a query if it has one.
        path: String,
    },
    /// One of the stack, which has a route.
    Service {
        /// Its name.
        name: ServiceName,
        /// The path.
        path: String,
    },
}

/// What `auth` at `path` says. `users` is the text of the file with the users of the service.
pub(super) fn resolve(
    path: &[&str],
    written: Option<&Written>,
    users: Option<&str>,
    faults: &mut Faults<'_>,
) -> Option<Auth> {
    match written? {
        Written::Wanted(false) => Some(Auth::Off),
        Written::Wanted(true) => {
            let fault = Diagnostic::new("wrong-value", "`auth` is true, expected \"basic\", false or {\"forward\": …}");
            faults.add(path, fault.help("write \"basic\" to ask for name and password"));
            None
        }
        Written::Word(_) => Some(Auth::Basic(basic(path, users, faults))),
        Written::Asked(asked) => forward(&[path, &["forward"]].concat(), &asked.forward, faults),
    }
}

/// The users of a service. The hashes keep the name of their secret.
fn basic(path: &[&str], users: Option<&str>, faults: &mut Faults<'_>) -> BTreeMap<String, Template> {
    // A release beside the live one has the users of its service.
    let service = faults.name.parent();
    let file = logins::file(service.as_str());
    let mut all = BTreeMap::new();
    for line in logins::parse(users.unwrap_or_default()) {
        match line {
            Ok((user, hash)) => {
                let origin = Origin::Secret(logins::secret(service.as_str(), user));
                all.insert(user.to_owned(), Template::from_pieces([Piece::From(origin, Value::known(hash))]));
            }
            Err(number) => {
                let message = format!("line {number} of .secrets/{file} is not NAME:HASH with a hash of bcrypt");
                let help = format!("take the line out; `core auth add {service} NAME` writes a right one");
                faults.add(path, Diagnostic::new("bad-users", message).help(help));
            }
        }
    }
    if all.is_empty() {
        let fault =
            Diagnostic::new("no-users", format!("`{service}` is for users with a password, and has no users yet"));
        faults.add(path, fault.help(format!("add the first one: core auth add {service} NAME")));
    }
    all
}

fn forward(path: &[&str], written: &Forward, faults: &mut Faults<'_>) -> Option<Auth> {
    let at = |key| [path, &[key]].concat();
    let asked = match (&written.url, &written.service) {
        (Some(url), None) => {
            if written.path.is_some() {
                let fault = Diagnostic::new("wrong-value", "`path` is for a `service`; the path of a `url` is in it");
                faults.add(&at("path"), fault.help("write it into `url`"));
            }
            let address = address(url);
            if address.is_none() {
                let fault = Diagnostic::new("wrong-value", format!("`url` is \"{url}\", expected an address"));
                faults.add(&at("url"), fault.help("for example \"http://127.0.0.1:9091/verify\""));
            }
            address
        }
        (None, Some(service)) => of_stack(&at("service"), &at("path"), service, written.path.as_deref(), faults),
        _ => {
            let fault = Diagnostic::new("wrong-value", "`forward` names one service: by `url` or by `service`");
            faults
                .add(path, fault.help("write {\"url\": \"http://127.0.0.1:9091/verify\"} or {\"service\": \"NAME\"}"));
            None
        }
    };
    for (index, name) in written.headers.iter().enumerate() {
        if let Err(rule) = header(name) {
            let fault = Diagnostic::new("wrong-value", format!("\"{name}\" {rule}"));
            faults
                .add(&[&at("headers")[..], &[&index.to_string()]].concat(), fault.help("for example \"Remote-User\""));
        }
    }
    Some(Auth::Forward { asked: asked?, headers: written.headers.clone() })
}

fn of_stack(
    at: &[&str],
    at_path: &[&str],
    service: &str,
    path: Option<&str>,
    faults: &mut Faults<'_>,
) -> Option<Asked> {
    let path = path.unwrap_or("/");
    if !is_path(path) {
        let fault = Diagnostic::new("wrong-value", format!("`path` is \"{path}\", expected one that starts with `/`"));
        faults.add(at_path, fault.help("for example \"/verify\""));
    }
    match ServiceName::new(service) {
        Ok(name) if name == faults.name.parent() => {
            let fault = Diagnostic::new("wrong-value", format!("`{service}` would be asked about requests for itself"));
            faults.add(at, fault.help("name another service, or leave `auth` out here"));
            None
        }
        Ok(name) => Some(Asked::Service { name, path: path.to_owned() }),
        Err(rule) => {
            faults.add(at, Diagnostic::new("wrong-value", format!("the service name `{service}` {rule}")));
            None
        }
    }
}

/// The parts of an address, if it is one.
fn address(url: &str) -> Option<Asked> {
    let (scheme, rest) = url.split_once("://")?;
    let is_secure = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let may = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if authority.is_empty() || !authority.chars().all(may) || !is_path(path) {
        return None;
    }
    // The colons inside of brackets are of an address of IPv6.
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => (authority, if is_secure { 443 } else { 80 }),
    };
    let is_host = host.strip_prefix('[').map_or(!host.contains([':', '[', ']']), |rest| rest.ends_with(']'));
    (is_host && !host.is_empty()).then(|| Asked::Address {
        dial: format!("{host}:{port}"),
        is_secure,
        path: path.to_owned(),
    })
}

/// Whether this is a path, with a query or without. The edge would read braces as words of its own.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains(['{', '}', '#'])
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether the app can get a header of this name; or the rule that it breaks.
fn header(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err("is not the name of a header");
    }
    let lower = name.to_ascii_lowercase().replace('_', "-");
    if lower == "host" || is_unbelieved(&lower) || is_unbelieved(name) {
        return Err("is a header that the app does not get from the edge");
    }
    if lower.split('-').count() > MOST_WORDS {
        return Err("has more than six words");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let of = |url: &str| match address(url)? {
            Asked::Address { dial, is_secure, path } => Some((dial, is_secure, path)),
            Asked::Service { .. } => None,
        };
        let is = |url: &str, dial: &str, is_secure, path: &str| {
            assert_eq!(of(url), Some((dial.to_owned(), is_secure, path.to_owned())), "{url}");
        };
        is("http://127.0.0.1:9091/verify?x=1", "127.0.0.1:9091", false, "/verify?x=1");
        is("https://auth.example", "auth.example:443", true, "/");
        is("http://[::1]:80/a", "[::1]:80", false, "/a");
        is("http://[::1]", "[::1]:80", false, "/");
        let wrong = [
            "ftp://a/",
            "http:///a",
            "http://a:b/",
            "http://a:0/",
            "http://u@a/",
            "http://a/{file.b}",
            "a:80",
            "http://a:1:2/",
        ];
        for wrong in wrong {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn headers_that_an_app_gets_have_a_name() {
        for good in ["Remote-User", "X-Auth-Request-Email", "remote_groups"] {
            assert_eq!(header(good), Ok(()), "{good}");
        }
        for bad in ["", "A B", "Remote-*", "X-Core-User", "x_real_ip", "a-b-c-d-e-f-g"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }
}
