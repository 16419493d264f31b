//! Server actions: forms that work without a script, sent to the app in each way that leads to it.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::common::tls::Client;
use crate::common::{Stack, free_port, http, until};

/// A form that works without a script, and a value that is bound to its action.
pub(crate) const FORM: &str = r"import { redirect } from 'next/navigation';
export default function Page() {
  const bound = 'bound'.toUpperCase();
  async function say(form: FormData) {
    'use server';
    redirect('/said/' + bound + '/' + form.get('word'));
  }
  return <form action={say}><input name='word' /></form>;
}
";

/// The hidden fields of a page with a form that has an action.
pub(crate) fn fields(page: &str) -> Vec<(String, String)> {
    let plain = |text: &str| text.replace("&quot;", "\"").replace("&amp;", "&");
    let attribute = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!(" {name}=\""))?;
        rest.split('"').next().map(plain)
    };
    let inputs = page.split("<input type=\"hidden\"").skip(1).filter_map(|rest| rest.split('>').next());
    let all: Vec<_> = inputs
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect();
    assert!(all.iter().any(|(name, _)| name.starts_with("$ACTION_")), "{page}");
    all
}

/// Sends a form as a browser without scripts does. Returns the whole answer.
pub(crate) fn submit(base: &str, page: &str) -> String {
    let body = body(page);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    http::whole("POST", &format!("{base}form"), &[("Content-Type", &kind)], &body).expect("an answer")
}

/// What a browser sends of the form of a page.
fn body(page: &str) -> String {
    let mut body = String::new();
    for (name, value) in fields(page).into_iter().chain([("word".into(), "hello".into())]) {
        body += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!("--{BOUNDARY}--\r\n");
    body
}

/// What is between the fields of a form, and in none of them.
const BOUNDARY: &str = "----core-0123456789abcdefghi";

/// Through TLS, on two hosts, and behind a second proxy with a name of its own: what a page of the app sends is accepted,
/// and what another site sends is not.
pub(crate) fn are_for_pages_of_the_app_alone(stack: &Stack) {
    let (plain, secure, front) = (free_port(), free_port(), free_port());
    stack.edit("web", |web| web["route"]["hosts"] = json!(["shop.test", "other.test"]));
    stack.edit("caddy", |caddy| {
        caddy["ports"] = json!({"http": {"port": plain}, "https": {"port": secure}});
        caddy["config"] = json!({"tls": "internal"});
    });
    stack.ok(&["apply"]);
    let root = stack.root.join(".data/caddy/pki/authorities/local/root.crt");
    let way = Way::new(secure, &fs::read_to_string(&root).expect("its root"));
    for host in ["shop.test", "other.test"] {
        let name = format!("{host}:{secure}");
        way.expect_accepted(host, &name, &[]);
        way.expect_refused(host, "https://foreign.test", &[]);
        // Nobody says of himself which host he is.
        way.expect_refused(host, "https://foreign.test", &[("X-Forwarded-Host", "foreign.test")]);
        way.expect_refused(host, "https://foreign.test", &[("Forwarded", "host=foreign.test;proto=https")]);
    }
    way.expect_refused("shop.test", &format!("https://other.test:{secure}"), &[]);
    stack.edit("caddy", |caddy| caddy["config"]["trusted_proxies"] = json!(["127.0.0.1"]));
    stack.ok(&["apply"]);
    let second = Second::new(stack, front, secure);
    let way = second.way();
    way.expect_accepted("public.test", &format!("public.test:{front}"), &[]);
    way.expect_refused("public.test", "https://foreign.test", &[]);
    way.expect_refused("public.test", "https://foreign.test", &[("X-Forwarded-Host", "foreign.test")]);
}

/// A way to the app: who is asked, and by whom.
struct Way {
    address: String,
    client: Client,
}

impl Way {
    fn new(port: u16, root: &str) -> Self {
        Self { address: format!("127.0.0.1:{port}"), client: Client::trusting(root) }
    }

    fn ask(&self, host: &str, request: &str) -> String {
        self.client.exchange(&self.address, host, request).unwrap_or_default()
    }

    /// Sends the form as a page of this origin. Returns the answer.
    fn submit(&self, host: &str, origin: &str, headers: &[(&str, &str)]) -> String {
        let port = self.address.rsplit(':').next().expect("a port");
        let page = self.ask(host, &format!("GET /form HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"));
        let body = body(&page);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        self.ask(
            host,
            &format!(
                "POST /form HTTP/1.0\r\nHost: {host}:{port}\r\nOrigin: {origin}\r\n{headers}\
                 Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    }

    /// A page of the app under this name may; and the app knows the name.
    fn expect_accepted(&self, host: &str, name: &str, headers: &[(&str, &str)]) {
        let word = format!("GET /word HTTP/1.0\r\nHost: {name}\r\n\r\n");
        until("the app is reached, and knows its name", || {
            self.ask(host, &word).ends_with(&format!(", of https://{name}/word"))
        });
        let said = self.submit(host, &format!("https://{name}"), headers);
        assert!(said.contains(" 303 ") && said.contains("/said/BOUND/hello"), "{host}: {said}");
    }

    fn expect_refused(&self, host: &str, origin: &str, headers: &[(&str, &str)]) {
        let said = self.submit(host, origin, headers);
        assert!(said.starts_with("HTTP/1.0 500") && !said.contains("/said/"), "{host}, {headers:?}: {said}");
    }
}

/// A proxy in front of the edge, which asks it for another name: Caddy, as somebody else sets it up.
struct Second {
    program: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Second {
    fn new(stack: &Stack, port: u16, edge: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (here, root) = (folder.path().display(), stack.root.display());
        let file = format!(
            "{{\n admin off\n skip_install_trust\n auto_https disable_redirects\n storage file_system {here}\n}}\n\
             https://public.test:{port} {{\n tls internal\n reverse_proxy https://127.0.0.1:{edge} {{\n\
             header_up Host shop.test:{edge}\n transport http {{\n tls_server_name shop.test\n\
             tls_trust_pool file {root}/.data/caddy/pki/authorities/local/root.crt\n }}\n }}\n}}\n"
        );
        let path = folder.path().join("Caddyfile");
        fs::write(&path, file).expect("a file");
        let pid = stack.pids_of("caddy").pop().expect("an edge");
        let caddy = fs::read_link(format!("/proc/{pid}/exe")).expect("the program");
        let mut program = Command::new(caddy);
        program.args(["run", "--adapter", "caddyfile", "--config"]).arg(path).env("HOME", folder.path());
        let program = program.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("Caddy runs");
        Self { program, folder, port }
    }

    fn way(&self) -> Way {
        let root = self.folder.path().join("pki/authorities/local/root.crt");
        until("it has a root", || root.exists());
        Way::new(self.port, &fs::read_to_string(root).expect("its root"))
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
