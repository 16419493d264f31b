//! Who is let in: users with a password, and those whom another service lets in.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{Said, Stack, http, proc, until};
use crate::place::{Place, serving};
use crate::releases::{Scene, update};

pub(crate) const TESTS: &[Test] = tests![
    users_with_a_password_are_let_in,
    a_route_has_its_own_users_else_those_of_the_edge,
    another_service_says_who_is_let_in,
    a_service_of_the_stack_says_who_is_let_in,
    a_preview_has_its_own_password,
    networks_may_be_in_files,
];

const PASSWORD: &str = "correct horse battery";

/// `core` with a line of standard input.
fn with_line(stack: &Stack, words: &[&str], line: &str) -> Said {
    let mut child = stack
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("core runs");
    child.stdin.take().expect("a pipe").write_all(format!("{line}\n").as_bytes()).expect("sent");
    Said::of(child.wait_with_output().expect("it ends"))
}

fn add(stack: &Stack, service: &str, user: &str, password: &str) -> Said {
    let said = with_line(stack, &["auth", "add", service, user], password);
    assert_eq!(said.code, 0, "{said:?}");
    said
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

impl Place {
    /// What is answered to a GET with these headers.
    fn asked(&self, path: &str, headers: &[(&str, &str)]) -> String {
        http::whole("GET", &format!("http://{}{path}", self.address), headers, "").expect("an answer")
    }

    fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.asked(path, headers).split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status")
    }

    /// Has an edit carried out, and waits until the edge that was has ended.
    fn swap_edge(&self, edit: impl FnOnce(&Stack)) {
        let before = self.stack.pids_of("caddy");
        edit(&self.stack);
        until("the edge that was has ended", || !before.iter().any(|pid| proc::lives(*pid)));
    }
}

fn users_with_a_password_are_let_in() {
    let place = Place::new(&serving(&[], json!({})));
    let stack = &place.stack;
    stack.edit("web", |web| web["route"]["auth"] = json!("basic"));
    let said = stack.core(&["apply"]);
    assert!(said.code == 2 && said.err.contains("core auth add web NAME"), "{said:?}");
    assert!(said.err.contains("service.json") && said.err.contains("has no users yet"), "{said:?}");
    assert_eq!(place.status("/", &[]), 200, "what runs is left alone");
    let said = stack.core(&["auth", "add", "wed", "ann"]);
    assert!(said.code == 2 && said.err.contains("did you mean `web`?"), "{said:?}");
    let said = add(stack, "web", "ann", PASSWORD);
    assert!(said.err.contains("added: ann of web") && said.err.contains("core apply"), "{said:?}");
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    let ann = basic("ann", PASSWORD);
    let refused = place.asked("/head", &[]);
    assert!(refused.starts_with("HTTP/1.0 401") && refused.contains("Www-Authenticate: Basic realm="), "{refused}");
    let others = ["", "Basic", "Bearer x", &basic("ann", "wrong"), &basic("bob", PASSWORD), &basic("ann", "")];
    for other in others {
        assert_eq!(place.status("/head", &[("Authorization", other)]), 401, "{other}");
    }
    // Nobody says of himself who he is, and the app learns no password.
    let forged = [("Authorization", ann.as_str()), ("Remote-User", "root"), ("remote_user", "root"), ("X-Mine", "1")];
    let seen = place.asked("/head", &forged);
    assert!(seen.starts_with("HTTP/1.0 200") && seen.contains("\r\nRemote-User: ann\r\n"), "{seen}");
    assert!(seen.contains("X-Mine: 1") && !seen.contains("root") && !seen.contains("Authorization"), "{seen}");
    // Nothing else is to be done, so another user counts at once. No request is lost by it.
    let load = place.load_as(&[("authorization", ann.as_str())]);
    place.swap_edge(|stack| {
        let said = add(stack, "web", "bob", "another");
        assert!(!said.err.contains("other changes"), "{said:?}");
    });
    assert_eq!(place.status("/", &[("Authorization", &basic("bob", "another"))]), 200);
    load.expect_none_lost();
    assert_eq!(stack.ok(&["auth", "list", "web"]).out, "ann\nbob\n");
    place.swap_edge(|stack| drop(stack.ok(&["auth", "remove", "web", "ann"])));
    assert_eq!(place.status("/", &[("Authorization", &ann)]), 401);
    let said = stack.core(&["auth", "remove", "web", "ann"]);
    assert!(said.code == 1 && said.err.contains("`ann` is not a user"), "{said:?}");
    // Neither passwords nor hashes are shown or saved.
    let file = std::fs::read_to_string(stack.root.join(".secrets/web-users")).expect("the file");
    let hash = file.trim().split_once(':').expect("a hash").1;
    let state = std::fs::read_to_string(stack.root.join(".core-stack/state.json")).expect("the state");
    let told: Vec<String> = [
        &["plan"][..],
        &["status", "--json"],
        &["history", "--json"],
        &["web", "spec"],
        &["caddy", "spec"],
        &["caddy", "spec", "--explain"],
    ]
    .into_iter()
    .map(|words| stack.ok(words).out)
    .chain([state, stack.own_log()])
    .collect();
    for secret in [PASSWORD, "another", hash] {
        assert!(!told.iter().any(|text| text.contains(secret)), "{secret}");
    }
    assert!(told[4].contains("${secret.web-users/bob}"), "{}", told[4]);
    // What a person breaks there is told without a word of it.
    stack.secret("web-users", &format!("{file}eve:plain-text\n"));
    let said = stack.core(&["check"]);
    assert!(said.code == 2 && said.err.contains("line 2 of .secrets/web-users is not NAME:HASH"), "{said:?}");
    assert!(!said.err.contains("plain-text") && !said.err.contains(hash), "{said:?}");
}

fn a_route_has_its_own_users_else_those_of_the_edge() {
    let place = Place::new(&serving(&[], json!({})));
    let stack = &place.stack;
    for (name, auth) in [("own", json!("basic")), ("open", json!(false))] {
        let mut manifest = serving(&[], json!({}));
        manifest["route"]["paths"] = json!([format!("/{name}"), format!("/head/{name}")]);
        manifest["route"]["auth"] = auth;
        stack.service(name, &manifest);
    }
    stack.edit("caddy", |caddy| caddy["config"] = json!({"auth": "basic"}));
    add(stack, "caddy", "all", "one");
    add(stack, "own", "ann", "two");
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    let (all, ann) = (basic("all", "one"), basic("ann", "two"));
    let of = |path: &str| {
        ["", &all, &ann].map(|who| {
            if who.is_empty() { place.status(path, &[]) } else { place.status(path, &[("Authorization", who)]) }
        })
    };
    assert_eq!(of("/"), [401, 200, 401]);
    assert_eq!(of("/own"), [401, 401, 200]);
    assert_eq!(of("/open"), [200, 200, 200]);
    // Also where everybody is let in, nobody says of himself who he is.
    let seen = place.asked("/head/open", &[("Remote-User", "root"), ("Authorization", "Bearer of the app")]);
    assert!(!seen.contains("root") && seen.contains("Bearer of the app"), "{seen}");
}

/// A service that says who is let in, and notes what it was asked.
struct Judge {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Judge {
    /// Answers what `judge` makes of the head of each request.
    fn new(judge: impl Fn(&str) -> &'static str + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let answer = judge(&head);
                noted.lock().expect("nobody panics").push(head);
                if answer.is_empty() {
                    return;
                }
                let _ = write!(stream, "HTTP/1.1 {answer}");
            }
        });
        Self { port, heads }
    }

    fn last(&self) -> String {
        self.heads.lock().expect("nobody panics").last().cloned().unwrap_or_default()
    }
}

fn another_service_says_who_is_let_in() {
    let judge = Judge::new(|head| match head.to_ascii_lowercase() {
        head if head.contains("ticket: end") => "",
        head if head.contains("ticket: ann") => {
            "200 OK\r\nConnection: close\r\nRemote-User: ann\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nok"
        }
        head if head.contains("ticket: nobody") => "204 No Content\r\nConnection: close\r\n\r\n",
        _ => "302 Found\r\nConnection: close\r\nLocation: https://login.test/\r\nContent-Length: 5\r\n\r\nlogin",
    });
    let place = Place::new(&serving(&[], json!({})));
    let url = format!("http://127.0.0.1:{}/verify", judge.port);
    place.swap_edge(|stack| {
        stack.edit("web", |web| {
            web["route"]["auth"] = json!({"forward": {"url": url, "headers": ["Remote-User", "Remote-Groups"]}});
        });
        stack.ok(&["apply"]);
    });
    let refused = place.asked("/head", &[]);
    assert!(refused.starts_with("HTTP/1.0 302") && refused.contains("Location: https://login.test/"), "{refused}");
    let forged = [("Ticket", "ann"), ("Remote-User", "root"), ("Remote-Groups", "root"), ("REMOTE_GROUPS", "root")];
    let seen = place.asked("/head/x?a=b", &forged);
    assert!(seen.contains("\r\nRemote-User: ann\r\n") && !seen.contains("root") && !seen.contains("X-Other"), "{seen}");
    assert!(seen.contains("GET /head/x?a=b HTTP"), "{seen}");
    let asked = judge.last();
    assert!(asked.starts_with("GET /verify HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.contains("X-Forwarded-Method: GET\r\n") && asked.contains("X-Forwarded-Uri: /head/x?a=b\r\n"),
        "{asked}"
    );
    assert!(!asked.contains("root"), "{asked}");
    // An answer without these headers leaves nothing of what the client says.
    let seen = place.asked("/head", &[("Ticket", "nobody"), ("Remote-User", "root"), ("Remote-Groups", "root")]);
    assert!(seen.starts_with("HTTP/1.0 200") && !seen.contains("Remote-"), "{seen}");
    // A body is the app's; what is asked about is told as a method.
    let url = format!("http://{}/upload", place.address);
    let sent = http::request("POST", &url, &[("Ticket", "ann"), ("X-Forwarded-Method", "GET")], "12345");
    assert_eq!(sent, Some((200, "5\n".into())));
    let asked = judge.last();
    assert!(asked.starts_with("GET ") && asked.contains("X-Forwarded-Method: POST\r\n"), "{asked}");
    // Upgraded is what the app is asked for, and not the question.
    let head = "GET /socket HTTP/1.1\r\nHost: x\r\nTicket: ann\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let heard = http::slowly(&place.address, head.to_owned(), vec![b"hello".to_vec()]).join().expect("an answer");
    assert!(heard.starts_with("HTTP/1.1 101") && heard.ends_with("hello"), "{heard}");
    assert!(!judge.last().contains("websocket"), "{}", judge.last());
    // Where nobody says who is let in, nobody is.
    place.asked("/", &[("Ticket", "end")]);
    until("it listens no more", || TcpStream::connect(("127.0.0.1", judge.port)).is_err());
    assert_eq!(place.status("/head", &[("Ticket", "ann")]), 503);
}

fn a_service_of_the_stack_says_who_is_let_in() {
    let place = Place::new(&serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3})));
    let stack = &place.stack;
    let all = |service: &str| json!({"auth": {"forward": {"service": service, "path": "/verify"}}});
    stack.edit("caddy", |caddy| caddy["config"] = all("logim"));
    let mut login = serving(&[], json!({"observe_seconds": 0.2, "ramp_seconds": 0.3}));
    let route = login.as_object_mut().expect("a manifest").remove("route").expect("a route");
    stack.service("login", &login);
    let said = stack.core(&["apply"]);
    assert!(said.code == 2 && said.err.contains("did you mean `login`?"), "{said:?}");
    stack.edit("caddy", |caddy| caddy["config"] = all("login"));
    let said = stack.core(&["apply"]);
    assert!(said.code == 2 && said.err.contains("it has no route"), "{said:?}");
    login["route"] = route;
    login["route"]["paths"] = json!(["/login"]);
    stack.service("login", &login);
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    let load = place.load();
    place.replace("login", |login| login["process"]["env"] = json!({"EDIT": "1"}));
    load.expect_none_lost();
    place.replace("login", |login| {
        login["process"]["args"].as_array_mut().expect("arguments").push(json!("--not-through-an-edge"));
        // The edge itself is asked before it counts.
        login["process"]["compose"]["readiness_probe"] = json!({"exec": {"command": "true"}});
    });
    // Its answer is that of the client; its own pages are for everybody.
    assert_eq!(place.status("/head", &[]), 500);
    stack.ok(&["stop", "login"]);
    assert_eq!(place.status("/head", &[]), 503);
    stack.ok(&["start", "login"]);
}

fn a_preview_has_its_own_password() {
    let scene = Scene::new(update());
    let place = &scene.place;
    place.stack.edit("web", |web| web["route"]["auth"] = json!("basic"));
    add(&place.stack, "web", "ann", PASSWORD);
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    let ann = basic("ann", PASSWORD);
    assert_eq!((place.status("/", &[]), place.status("/", &[("Authorization", &ann)])), (401, 200));
    let said = place.stack.core(&["deploy", "--preview", "pr-1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let password = said.err.split("password ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("it");
    let key = basic("preview", password);
    let host = ("Host", "pr-1.web.localhost");
    let of = |who: &str| place.asked("/head", &[host, ("Authorization", who), ("Remote-User", "root")]);
    for who in ["", "Bearer x", ann.as_str()] {
        assert!(of(who).starts_with("HTTP/1.0 401"), "{who}");
    }
    let seen = of(&key);
    assert!(seen.starts_with("HTTP/1.0 200") && !seen.contains("root") && !seen.contains("Authorization"), "{seen}");
    // For everybody means for everybody whom the service is for.
    assert_eq!(place.stack.core(&["deploy", "--preview", "pr-1", "--public"]).code, 0);
    assert!(of("").starts_with("HTTP/1.0 401") && of(&key).starts_with("HTTP/1.0 401"));
    let seen = of(&ann);
    assert!(seen.starts_with("HTTP/1.0 200") && seen.contains("\r\nRemote-User: ann\r\n"), "{seen}");
}

fn networks_may_be_in_files() {
    let place = Place::new(&serving(&[], json!({})));
    let stack = &place.stack;
    let from = |address: &str| place.status("/", &[("X-Forwarded-For", address)]);
    let told = |words: &[&str]| stack.core(words);
    stack.edit("caddy", |caddy| caddy["config"] = json!({"trusted_proxies": ["file:lists/cdn.txt"]}));
    stack.edit("web", |web| web["route"]["deny"] = json!(["file:deny.txt", "198.51.100.1"]));
    let said = told(&["check"]);
    for missing in ["the file `lists/cdn.txt` does not exist", "the file `deny.txt` does not exist"] {
        assert!(said.code == 2 && said.err.contains(missing), "{said:?}");
    }
    stack.write("lists/cdn.txt", "# of the provider\n127.0.0.1\n");
    let many: String = (0..5000).map(|number| format!("10.{}.{}.0/24\n", number / 256, number % 256)).collect();
    stack.write("deny.txt", &format!("{many}10.0.0.0/33\nexample.org # by name\n"));
    let said = told(&["check"]);
    assert!(said.code == 2 && said.err.contains("deny.txt:5001:1") && said.err.contains("deny.txt:5002:1"), "{said:?}");
    assert!(said.err.contains("`10.0.0.0/33` is not") && said.err.contains("`example.org` is not"), "{said:?}");
    stack.write("deny.txt", &many);
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    assert_eq!(
        [from("10.19.135.7"), from("10.0.0.1"), from("198.51.100.1"), from("10.19.136.7")],
        [403, 403, 403, 200]
    );
    stack.write("deny.txt", "192.0.2.0/24\n");
    let (plan, status) = (stack.ok(&["plan"]).out, stack.ok(&["status"]).out);
    assert!(plan.contains("generated files changed") && !plan.contains("10.") && plan.lines().count() < 8, "{plan}");
    assert!(!status.contains("10.19"), "{status}");
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    assert_eq!([from("10.0.0.1"), from("192.0.2.7")], [200, 403]);
    // A list that is left empty is an empty list: who may come from nowhere does not come.
    stack.write("deny.txt", "# nobody\n");
    stack.write("allow.txt", "# nobody\n");
    stack.edit("web", |web| web["route"]["allow"] = json!(["file:allow.txt"]));
    place.swap_edge(|stack| drop(stack.ok(&["apply"])));
    assert_eq!(from("192.0.2.7"), 403);
    // Where manifests are followed, so are the files that they name.
    let local = std::fs::read_to_string(stack.root.join("manifests/local.json")).expect("the profile");
    stack.write("manifests/local.json", &local.replace("\"watch\":false", "\"watch\":true"));
    stack.ok(&["down"]);
    stack.up();
    stack.write("allow.txt", "192.0.2.0/24\n");
    until("the edit counts", || from("192.0.2.7") == 200);
}
