//! A held socket, handed over to a program that was written for this elsewhere: lighttpd, as Debian packages it.
//!
//! It is taken from PATH, or its package is unpacked below the target folder; nothing is installed into the system.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::common::trials::{Test, tests};
use crate::common::{PATIENCE, Said, Stack, eventually, free_port, http, proc, until};

pub(crate) const TESTS: &[Test] = tests![a_program_of_debian_serves_on_a_held_socket];

/// What it is to do. It is told no address: the one socket that it can serve on is the one that it was given. Its
/// answers name the process that gave them.
const CONFIG: &str = r#"
server.systemd-socket-activation = "enable"
server.document-root = env.PUBLIC
server.tag = "lighttpd of process " + var.PID
mimetype.assign = (".txt" => "text/plain")
"#;
/// Requests that arrive while nobody accepts.
const REQUESTS: usize = 20;

fn a_program_of_debian_serves_on_a_held_socket() {
    let stack = Stack::new();
    let port = free_port();
    stack.write("lighttpd.conf", CONFIG);
    stack.write("public/greeting.txt", "hello\n");
    let (command, mut args, mut process_env) = lighttpd();
    args.extend(["-D", "-f", "${root}/lighttpd.conf"].map(str::to_owned));
    process_env.push(("PUBLIC", "${root}/public".into()));
    let process_env: serde_json::Map<_, _> =
        process_env.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let url = format!("http://127.0.0.1:{port}/greeting.txt");
    stack.service(
        "lighttpd",
        // The pause is long enough for all that is done in it, on a slow machine too; that it was is asserted.
        &json!({"process": {"command": command, "args": args, "env": process_env,
            "compose": {"availability": {"restart": "always", "backoff_seconds": 5},
                "readiness_probe": {"http_get": {"url": url}, "period_seconds": 0.1}}},
            "ports": {"http": {"port": port, "hold": true}}}),
    );
    stack.up();
    let (pid, shim) = (stack.pid("lighttpd"), stack.shim("lighttpd-0@1"));
    assert_eq!(http::get(&url), Some((200, "hello\n".into())));
    let socket = listening(port);
    assert!(has(shim, socket), "it is not held: {:?}", proc::descriptors(shim));
    assert!(has(pid, socket), "it serves on another socket: {:?}", proc::descriptors(pid));

    proc::kill(pid);
    until("it has died, and its end was seen", || stack.instance("lighttpd")["phase"] == "backoff");
    assert!(!proc::lives(pid));
    let before = waiting(socket);
    let requests: Vec<TcpStream> = (0..REQUESTS).map(|_| ask(port)).collect();
    assert_eq!(waiting(socket), before + REQUESTS, "they wait in the queue of the socket");
    let instance = stack.instance("lighttpd");
    assert_eq!((&instance["phase"], &instance["pid"]), (&json!("backoff"), &json!(null)), "the pause was too short");

    // The queue is asked again and again until it is served: at no time anybody is refused.
    let mut more = Vec::new();
    let next = eventually("it runs again", || {
        more.push(ask(port));
        let instance = stack.instance("lighttpd");
        Some(u32::try_from(instance["pid"].as_u64()?).expect("a process number"))
    });
    assert_ne!(next, pid);
    for request in requests.into_iter().chain(more) {
        let text = answer(request);
        assert!(text.starts_with("HTTP/1.0 200 ") && text.ends_with("\r\n\r\nhello\n"), "{text}");
        assert!(text.contains(&format!("lighttpd of process {next}\r\n")), "of another process than {next}: {text}");
    }
    stack.until_ready();
    assert_eq!(stack.instance("lighttpd")["restarts"], 1);
    assert_eq!((listening(port), stack.shim("lighttpd-0@1")), (socket, shim));
    assert!(has(shim, socket) && has(next, socket), "{:?}", proc::descriptors(next));

    let run = stack.run_folder();
    stack.ok(&["down"]);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is open after the stack has ended");
    stack.expect_nothing_left(run.as_deref());
}

/// Connects and asks; the answer is read later.
#[track_caller]
fn ask(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("nobody is refused");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /greeting.txt HTTP/1.0\r\n\r\n").expect("it is sent");
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// A line of the kernel's table of TCP sockets that listen.
struct Listening {
    inode: u64,
    port: u16,
    /// Connections that nobody has accepted yet.
    waiting: usize,
}

fn all_listening() -> Vec<Listening> {
    let text = fs::read_to_string("/proc/net/tcp").expect("the table");
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let hex = |text: &str| usize::from_str_radix(text.rsplit(':').next()?, 16).ok();
        (*fields.get(3)? == "0A").then_some(())?;
        let port = u16::try_from(hex(fields[1])?).ok()?;
        Some(Listening { inode: fields.get(9)?.parse().ok()?, port, waiting: hex(fields[4])? })
    };
    text.lines().filter_map(line).collect()
}

/// The one socket that listens on a port.
#[track_caller]
fn listening(port: u16) -> u64 {
    let found: Vec<u64> = all_listening().into_iter().filter(|one| one.port == port).map(|one| one.inode).collect();
    assert_eq!(found.len(), 1, "sockets on port {port}: {found:?}");
    found[0]
}

/// How many connections wait in the queue of a socket.
fn waiting(socket: u64) -> usize {
    all_listening().into_iter().find(|one| one.inode == socket).expect("the socket").waiting
}

/// Whether a process holds a socket.
fn has(pid: u32, socket: u64) -> bool {
    proc::descriptors(pid).iter().any(|(_, path)| path.as_os_str() == OsStr::new(&format!("socket:[{socket}]")))
}

/// The program, with what it needs to run from where it is: arguments, and variables.
fn lighttpd() -> (String, Vec<String>, Vec<(&'static str, String)>) {
    // An ordinary user's PATH does not name the folders of servers.
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/local/sbin".into(), "/usr/sbin".into()]);
    if let Some(found) = places.map(|folder| folder.join("lighttpd")).find(|program| program.is_file()) {
        return (found.display().to_string(), vec![], vec![]);
    }
    let root = unpacked("lighttpd");
    let libraries = [root.join("usr/lib"), root.join("lib")].into_iter().flat_map(|folder| {
        let inner = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        inner.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")).collect::<Vec<_>>()
    });
    let libraries = env::join_paths(libraries).expect("paths").into_string().expect("text");
    let modules = root.join("usr/lib/lighttpd").display().to_string();
    let program = root.join("usr/sbin/lighttpd").display().to_string();
    (program, vec!["-m".into(), modules], vec![("LD_LIBRARY_PATH", libraries)])
}

/// The folder into which a package of Debian is unpacked, with the libraries that it names; from a test before, too.
fn unpacked(package: &str) -> PathBuf {
    let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = shelf.join(format!("debian-{package}"));
    if folder.is_dir() {
        return folder;
    }
    let work = tempfile::Builder::new().prefix("debian-").tempdir_in(shelf).expect("a folder");
    let root = work.path().join("root");
    let named = download(work.path(), &[package]);
    // The C library is that of the machine, which runs what was made for it.
    let depends = run(Command::new("dpkg-deb").arg("-f").arg(&named[0]).arg("Depends"));
    let depends = depends.split(',').filter_map(|one| one.split_ascii_whitespace().next());
    let libraries: Vec<&str> = depends
        .map(|name| name.split(':').next().unwrap_or_default())
        .filter(|name| name.starts_with("lib") && !name.starts_with("libc6") && !name.starts_with("libcrypt"))
        .collect();
    let libraries = if libraries.is_empty() { vec![] } else { download(work.path(), &libraries) };
    for parcel in named.iter().chain(&libraries) {
        run(Command::new("dpkg-deb").arg("-x").arg(parcel).arg(&root));
    }
    // Whoever unpacked it at the same time has the same.
    if let Err(error) = fs::rename(&root, &folder) {
        assert!(folder.is_dir(), "{}: {error}", folder.display());
    }
    folder
}

/// Fetches packages into a new folder below `work`.
fn download(work: &Path, packages: &[&str]) -> Vec<PathBuf> {
    let folder = work.join(packages[0]);
    fs::create_dir(&folder).expect("a folder");
    let apt = |private: bool, words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&folder).env("LC_ALL", "C");
        // The target folder is often one that apt's own user may not write to.
        command.args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]);
        if private {
            for (name, place) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
                fs::create_dir_all(work.join(place).join("partial")).expect("a folder");
                command.arg("-o").arg(format!("{name}={}", work.join(place).display()));
            }
        }
        command.args(words);
        match command.output() {
            Ok(output) => Said::of(output),
            Err(error) => panic!("no lighttpd is in PATH, and there is no apt-get to fetch it: {error}"),
        }
    };
    let words = [&["download"], packages].concat();
    let first = apt(false, &words);
    if first.code != 0 {
        // What the machine knows of packages is nothing, as in a fresh container, or too old. It stays as it is: lists
        // of our own need no root.
        let update = apt(true, &["update"]);
        let second = apt(true, &words);
        assert_eq!(
            second.code,
            0,
            "apt-get cannot fetch {} (install lighttpd, or let the machine reach a mirror of Debian)\n{}{}{}",
            packages.join(" "),
            first.err,
            update.err,
            second.err
        );
    }
    let parcels = fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.path());
    let parcels: Vec<PathBuf> = parcels.filter(|path| path.extension().is_some_and(|is| is == "deb")).collect();
    assert_eq!(parcels.len(), packages.len(), "{parcels:?} of {packages:?}");
    parcels
}

/// Runs a program to its good end.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = Said::of(output);
    assert_eq!(said.code, 0, "{command:?}\n{}", said.err);
    said.out
}
