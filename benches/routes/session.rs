//! Asks both sides the same, and hands what differs on.

use crate::apps::App;
use crate::client::{self, Answer, Request};
use crate::comparison::{Difference, differences};
use crate::extras::{Body, Extra};
use crate::manners::Manner;
use crate::odd;
use crate::page;
use crate::texts::Texts;

/// How often is asked again for what differs now and then.
const AGAIN: usize = 3;
/// What that is: a page that streams is put together as its parts come, and Caddy gives a type to one in a thousand
/// answers that have neither type nor body. Nothing else is asked again, since the second answer of a cache is another one.
const UNSTEADY: [&str; 2] = ["body", "content-type"];
/// What is between the parts of a form.
const BOUNDARY: &str = "----routes7d1f";

/// One of the two.
pub(crate) struct Side {
    port: u16,
    build: String,
    script: String,
    style: String,
    texts: Texts,
}

impl Side {
    /// The side that answers on a port. `inner` is the app's own, where that is another one.
    pub(crate) fn new(app: &App, port: u16, inner: Option<u16>, build: &str) -> Self {
        let start = client::ask(port, &Request::get(app.start)).text();
        let file = |ending| page::file(&start, ending).unwrap_or_else(|| format!("{}/no-such-file", app.base));
        Self {
            port,
            build: build.into(),
            script: file(".js"),
            style: file(".css"),
            texts: Texts::new(port, inner, build),
        }
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{build}", &self.build).replace("{script}", &self.script).replace("{style}", &self.style)
    }

    fn ask(&self, request: &Request) -> Answer {
        client::ask(self.port, request)
    }

    fn manner(&self, path: &str, manner: Manner) -> Answer {
        let path = self.fill(path);
        let first = manner.first(&path).map(|request| self.ask(&request)).unwrap_or_default();
        self.ask(&manner.request(&path, &first))
    }

    fn extra(&self, extra: &Extra) -> Answer {
        let mut request = Request::of(extra.method, &self.fill(extra.path));
        for (name, value) in extra.headers {
            request = request.with(name, value);
        }
        if let Some(first) = extra.after {
            let cookies = page::cookies(&self.ask(&Request::get(first)));
            request = request.with("Cookie", &cookies);
        }
        match extra.body {
            Body::None => {}
            Body::Text(text) => request.body = Some(text.into()),
            Body::Form(fields) => {
                let page = self.ask(&Request::get(&self.fill(extra.path))).text();
                let all = page::hidden(&page).into_iter();
                let filled = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                request.body = Some(multipart(all.chain(filled)).into_bytes());
                request = request.with("Content-Type", &format!("multipart/form-data; boundary={BOUNDARY}"));
            }
        }
        self.ask(&request)
    }
}

/// A form as a browser sends it.
fn multipart(fields: impl Iterator<Item = (String, String)>) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body + &format!("--{BOUNDARY}--\r\n")
}

/// Asks for all of an app. `found` gets each request by its name, with what differs in the answers.
pub(crate) fn compare(app: &App, next: &Side, edge: &Side, mut found: impl FnMut(String, Vec<Difference>)) {
    for path in app.routes {
        for manner in Manner::all(app.has_parts) {
            let is_head = matches!(manner, Manner::Head | Manner::HeadEncoded);
            let is_safe = manner != Manner::Post;
            let all = ask_both(next, edge, is_head, is_safe, |side| side.manner(path, manner));
            found(format!("{} {path}", manner.name()), all);
        }
    }
    for page in ["/about"].into_iter().chain(app.file) {
        for (what, path) in odd::paths(app.base, &format!("{}{page}", app.base)) {
            let request = Request { path, ..Request::get("") };
            let name = format!("odd path of {page}: {what}");
            found(name, ask_both(next, edge, false, true, |side| side.ask(&request)));
        }
    }
    for extra in app.extras {
        let name = name(extra);
        found(name, ask_both(next, edge, false, extra.method == "GET", |side| side.extra(extra)));
    }
}

fn ask_both(next: &Side, edge: &Side, is_head: bool, is_safe: bool, ask: impl Fn(&Side) -> Answer) -> Vec<Difference> {
    let once = || differences((&ask(next), &next.texts), (&ask(edge), &edge.texts), is_head);
    let is_unsteady = |one: &Difference| UNSTEADY.contains(&&*one.what);
    let mut all = once();
    for _ in 0..AGAIN {
        if is_safe && all.iter().any(is_unsteady) {
            let again = once();
            all.retain(|one| !is_unsteady(one) || again.iter().any(|other| other.what == one.what));
        }
    }
    all
}

/// What an extra is called in the table.
fn name(extra: &Extra) -> String {
    let mut name = format!("{} {}", extra.method, extra.path);
    for (header, value) in extra.headers {
        let value: String = value.chars().take(40).collect();
        name += &format!(", {header}: {value}");
    }
    if let Body::Form(fields) = extra.body {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        name += &format!(", form {}", fields.join("&"));
    }
    if let Some(first) = extra.after {
        name += &format!(", after {first}");
    }
    name
}
