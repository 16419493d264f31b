//! Other hosts, over the system's own ssh.

use tokio::process::Command;

/// The variable with another command than `ssh`: words, as git has them in `GIT_SSH_COMMAND`.
const VARIABLE: &str = "CORE_SSH_COMMAND";

/// A stack on another host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// As ssh understands it: `user@server`.
    pub(super) server: &'a str,
    pub(super) root: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        // An address of IPv6 has its colons in brackets.
        let from = text.rfind(']').unwrap_or(0);
        match text[from..].split_once(':') {
            Some((before, root)) if !root.is_empty() => Self { server: &text[..from + before.len()], root: Some(root) },
            Some((before, _)) => Self { server: &text[..from + before.len()], root: None },
            None => Self { server: text, root: None },
        }
    }

    /// The line of a shell that runs `core` there, with these words.
    pub(super) fn core(&self, words: &[String]) -> String {
        let root = self.root.map(|root| vec!["--root".to_owned(), root.to_owned()]).unwrap_or_default();
        let words: Vec<String> = root.iter().chain(words).map(|word| quoted(word)).collect();
        // Where programs of one's own are, which a shell without a login does not know.
        format!("PATH=\"$PATH:/usr/local/bin:$HOME/.local/bin\" exec core {}", words.join(" "))
    }

    /// A command that has a shell there run a line.
    pub(super) fn ssh(&self, line: &str) -> Command {
        let ssh = std::env::var(VARIABLE).unwrap_or_else(|_| "ssh".to_owned());
        let mut ssh = ssh.split_whitespace();
        let mut command = Command::new(ssh.next().unwrap_or("ssh"));
        command.args(ssh).arg(self.server).arg("--").arg(line);
        command
    }
}

/// A size in words.
pub(super) fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes.div_ceil(1 << 10)) }
}

/// A word for the shell of the other host.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_name_the_root() {
        let place = |server, root| Place { server, root };
        assert_eq!(Place::parse("app@example.org"), place("app@example.org", None));
        assert_eq!(Place::parse("app@example.org:/srv/stack"), place("app@example.org", Some("/srv/stack")));
        assert_eq!(Place::parse("app@[::1]:srv"), place("app@[::1]", Some("srv")));
        assert_eq!(Place::parse("app@[::1]"), place("app@[::1]", None));
        assert_eq!(Place::parse("example.org:"), place("example.org", None));
        let line = place("x", Some("/srv/my stack")).core(&["--message".into(), "it's done".into()]);
        assert!(line.ends_with(r"exec core --root '/srv/my stack' --message 'it'\''s done'"), "{line}");
    }
}
