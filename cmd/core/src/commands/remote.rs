//! Other hosts, over the system's own ssh.

use core_stack::shell::quoted;
use tokio::process::Command;

/// The variable with another command than `ssh`: words between spaces, without quotes.
const VARIABLE: &str = "CORE_SSH_COMMAND";

/// A stack on another host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// As ssh understands it: `user@server`.
    pub(super) server: &'a str,
    pub(super) root: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// From `user@server` or `user@server:ROOT`.
    ///
    /// # Errors
    /// That it is none, as text for people.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        // An address of IPv6 has its colons in brackets.
        let from = text.rfind(']').unwrap_or(0);
        let (server, root) = match text[from..].split_once(':') {
            Some((before, root)) => (&text[..from + before.len()], Some(root).filter(|root| !root.is_empty())),
            None => (text, None),
        };
        // ssh begins there; a shell would take it as it stands.
        let root = root.map(|root| root.strip_prefix("~/").unwrap_or(root));
        // ssh would take it for an option.
        if server.is_empty() || server.starts_with('-') {
            return Err(format!("`{text}` is no host: expected user@server or user@server:ROOT"));
        }
        Ok(Self { server, root })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_name_the_root() {
        let place = |server, root| Ok(Place { server, root });
        assert_eq!(Place::parse("app@example.org"), place("app@example.org", None));
        assert_eq!(Place::parse("app@example.org:/srv/stack"), place("app@example.org", Some("/srv/stack")));
        assert_eq!(Place::parse("app@[::1]:srv"), place("app@[::1]", Some("srv")));
        assert_eq!(Place::parse("app@example.org:~/stack"), place("app@example.org", Some("stack")));
        assert_eq!(Place::parse("app@[::1]"), place("app@[::1]", None));
        assert_eq!(Place::parse("example.org:"), place("example.org", None));
        assert!(Place::parse("-oProxyCommand=x").is_err() && Place::parse(":root").is_err());
        let line = Place { server: "x", root: Some("/srv/my stack") }.core(&["--message".into(), "it's done".into()]);
        assert!(line.ends_with(r"exec core --root '/srv/my stack' --message 'it'\''s done'"), "{line}");
    }
}
