//! A terminal for tests: a pair of descriptors, a program on one side, and what a person would see on the other.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::libc;
use nix::pty::{Winsize, openpty};

use crate::common::{eventually, heed_all};

/// A program on a terminal. It is killed when this goes out of sight.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    keys: File,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program on a terminal of this size, of which it is the master: Ctrl-C reaches it.
    pub(crate) fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let slave = File::from(pair.slave);
        let copy = || Stdio::from(slave.try_clone().expect("a copy"));
        command.stdin(copy()).stdout(copy()).stderr(copy()).env("TERM", "xterm-256color");
        heed_all(&mut command);
        let fd = slave.as_raw_fd();
        // SAFETY: two system calls, both allowed after a fork; the descriptor is open in the child, too.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                if libc::ioctl(fd, libc::TIOCSCTTY, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().expect("it starts");
        drop(command);
        drop(slave);
        let keys = File::from(pair.master);
        let mut output = keys.try_clone().expect("a copy");
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        // It ends when nobody has the other side open.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                heard.lock().expect("a lock").extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, keys, said }
    }

    /// Types something.
    pub(crate) fn keys(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).expect("it is typed");
    }

    /// All that was said so far, with what moves the cursor.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().expect("a lock")).into_owned()
    }

    /// What stands on the screen now.
    pub(crate) fn screen(&self) -> String {
        screen(&self.said())
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        eventually(what, || Some(self.screen()).filter(|screen| is_so(screen)))
    }

    /// How it ended.
    pub(crate) fn end(&mut self) -> Option<i32> {
        eventually("it ends", || self.child.try_wait().expect("it is ours")).code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- screen\n{}\n--- said\n{:?}", self.screen(), self.said());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Carries out the few sequences that are used here. Lines have no end: nothing is wrapped.
fn screen(said: &str) -> String {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = said.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_none() {
                    continue;
                }
                let mut argument = String::new();
                let last = loop {
                    match chars.next() {
                        Some(char) if char.is_ascii_alphabetic() => break char,
                        Some(char) => argument.push(char),
                        None => break 'm',
                    }
                };
                let number = argument.parse().unwrap_or(1);
                match last {
                    'A' => row = row.saturating_sub(number),
                    'K' => lines[row].truncate(column),
                    'J' if argument == "2" => lines = vec![Vec::new()],
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    'H' => (row, column) = (0, 0),
                    _ => {}
                }
            }
            char if char.is_control() => {}
            char => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = char;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>() + "\n").collect()
}
