//! The services of the stacks under test. Each begins by saying its mark, in its log and in `ledger/<role>`, and the
//! checker believes these ledgers: `begin MARK PID`, and `end MARK CODE` where it ends by itself.
//!
//! `chatty`: a line of output at a time, numbered, with a checksum; a few thousand a second, a flood when the file `flood`
//! is there, and as fast as it can with the word `fast`. `web PORT`: HTTP. `once MS`: ends with 0 after that long; with a
//! file, when that is there, and with the code that stands in it. `forks`: three helpers in sessions of their own.
//! `quiet`: nothing.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Crc;
use serde_json::{Value, json};

/// Helpers of `forks`.
pub(crate) const HELPERS: usize = 3;
/// The command line of a helper.
pub(crate) const HELPER: [&str; 2] = ["sleep", "5552"];
/// Lines that are written at once; fewer bytes than a pipe takes whole or not at all.
pub(crate) const AT_ONCE: u64 = 60;
/// Batches of a flood.
const FLOOD: u64 = 500;

/// Runs as a service, when this program was started as that.
pub(crate) fn ran() -> bool {
    let words: Vec<String> = std::env::args().collect();
    let is_asked = words.get(1).is_some_and(|word| word == "role");
    if is_asked {
        run(&words[2], &words[3..]);
    }
    is_asked
}

/// The process of a manifest: this program as that service.
pub(crate) fn process(role: &str, words: &[&str], compose: &Value) -> Value {
    let program = std::env::current_exe().expect("this program").display().to_string();
    let words: Vec<&str> = ["role", role].into_iter().chain(words.iter().copied()).collect();
    json!({"command": program, "args": words, "env": {"INSTANCE": "${instance}"}, "compose": compose})
}

/// A line of `chatty`, without its end.
pub(crate) fn line(mark: &str, number: u64) -> String {
    let mut crc = Crc::new();
    crc.update(mark.as_bytes());
    crc.update(&number.to_le_bytes());
    format!("{number} {:08x}", crc.sum())
}

/// How many lines an invocation of `chatty` has written, as far as it came to write that down.
pub(crate) fn written(root: &Path, mark: &str) -> u64 {
    let text = fs::read_to_string(root.join(format!("ledger/chatty.{mark}"))).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The lines of a ledger: word, mark, number.
pub(crate) fn ledger(root: &Path, role: &str) -> Vec<(String, String, u32)> {
    let text = fs::read_to_string(root.join("ledger").join(role)).unwrap_or_default();
    let entry = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

fn run(role: &str, words: &[String]) {
    let mark = std::env::var("CORE_INSTANCE").unwrap_or_default();
    note(role, &format!("begin {mark} {}", std::process::id()));
    println!("begin {mark}");
    match role {
        "chatty" => chatter(&mark, words.iter().any(|word| word == "fast")),
        "web" => serve(words[0].parse().expect("a port")),
        "once" => {
            let code = match words[0].parse() {
                Ok(millis) => {
                    std::thread::sleep(Duration::from_millis(millis));
                    0
                }
                Err(_) => asked(Path::new(&words[0])),
            };
            leave(role, &mark, code);
        }
        "crasher" => leave(role, &mark, asked(Path::new("crash"))),
        "forks" => {
            for _ in 0..HELPERS {
                let mut helper = Command::new("setsid");
                // A host may be short of processes for a moment.
                while helper.args(HELPER).stdin(Stdio::null()).spawn().is_err() {
                    std::thread::sleep(Duration::from_millis(20));
                    helper = Command::new("setsid");
                }
            }
        }
        "quiet" => {}
        other => panic!("no such service: {other}"),
    }
    loop {
        std::thread::park();
    }
}

/// Waits for a file and takes it away: what stands in it is the code to end with.
fn asked(file: &Path) -> i32 {
    loop {
        if let Some(code) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
            let _ = fs::remove_file(file);
            return code;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[allow(clippy::exit, reason = "a service ends with the code that it is told")]
fn leave(role: &str, mark: &str, code: i32) -> ! {
    note(role, &format!("end {mark} {code}"));
    std::process::exit(code)
}

/// Writes a line into the ledger, at once.
fn note(role: &str, text: &str) {
    let _ = fs::create_dir_all("ledger");
    let file = OpenOptions::new().create(true).append(true).open(format!("ledger/{role}"));
    file.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes())).expect("the ledger");
}

fn chatter(mark: &str, fast: bool) {
    let count = fs::File::create(format!("ledger/chatty.{mark}")).expect("a file");
    let mut out = std::io::stdout().lock();
    let (mut number, mut flood) = (0, 0);
    loop {
        let batch: String = (number..number + AT_ONCE).map(|number| line(mark, number) + "\n").collect();
        out.write_all(batch.as_bytes()).and_then(|()| out.flush()).expect("the output");
        number += AT_ONCE;
        count.write_all_at(format!("{number:020}").as_bytes(), 0).expect("the count");
        if fast {
            continue;
        }
        flood = if flood == 0 && fs::remove_file("flood").is_ok() { FLOOD } else { flood.saturating_sub(1) };
        if flood == 0 {
            std::thread::sleep(Duration::from_millis(16));
        }
    }
}

/// As many at once as there are threads; none is begun later, so that nothing that a host is short of closes this one.
fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    // Whoever goes away in the middle is none of ours.
                    let _ = talk(&stream);
                }
            });
        }
    });
}

fn talk(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let text = format!("pid {}\n", std::process::id());
        write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
    }
}
