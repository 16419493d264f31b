//! What a host reads at boot: a unit of systemd, a script of OpenRC, a line of cron.

use std::path::Path;

use core_stack::shell::quoted;

/// The first words of a file that core has written, by which it is known.
pub(super) const MARK: &str = "# Written by `core boot on`; `core boot off` removes it.";
/// Seconds until cron's line gives up on the folder of the stack: its disk may come late.
const PATIENCE: u32 = 600;

/// What starts the stack.
pub(super) struct Start<'a> {
    /// The program, as an absolute path.
    pub(super) core: &'a Path,
    /// The root of the stack, as an absolute path.
    pub(super) root: &'a Path,
    pub(super) profile: &'a str,
    /// Where programs are found: what starts at boot has no PATH of a shell.
    pub(super) path: &'a str,
    /// The user who runs the stack, if that is not the one whose files these are.
    pub(super) user: Option<&'a str>,
}

impl Start<'_> {
    /// A unit for the system, or for a user.
    pub(super) fn unit(&self, is_of_user: bool) -> String {
        let word = |text: &str| {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$"))
        };
        let (core, root) = (word(&self.core.display().to_string()), word(&self.root.display().to_string()));
        let (profile, path) = (word(self.profile), word(&format!("PATH={}", self.path)));
        let user = self.user.map_or_else(String::new, |user| format!("User={user}\n"));
        let mount = self.root.display().to_string().replace('%', "%%").replace(' ', "\\x20");
        // The network and other units are none of a user's.
        let order = if is_of_user {
            String::new()
        } else {
            "Wants=network-online.target\nAfter=network-online.target local-fs.target\n".to_owned()
        };
        let target = if is_of_user { "default.target" } else { "multi-user.target" };
        format!(
            "{MARK}\n\
             [Unit]\n\
             Description=core: the stack in {mount}\n\
             {order}RequiresMountsFor={mount}\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             {user}Delegate=yes\n\
             Environment={path}\n\
             # It ends with 1 where something of the stack is not ready, which is no reason to end the rest. Whether the stack\n\
             # runs at all is looked at next.\n\
             SuccessExitStatus=1\n\
             ExecStart={core} --root {root} --profile {profile} up -d\n\
             ExecStartPost={core} --root {root} status\n\
             # Moves supervisor and keeper to the program that is there now; no service is restarted.\n\
             ExecReload={core} --root {root} up -d\n\
             ExecStop={core} --root {root} down\n\
             TimeoutStartSec=infinity\n\
             TimeoutStopSec=300\n\
             \n\
             [Install]\n\
             WantedBy={target}\n"
        )
    }

    /// A script of OpenRC.
    pub(super) fn script(&self) -> String {
        let run = |words: &str| {
            let line = format!(
                "PATH={} {} --root {} {words}",
                quoted(self.path),
                quoted_path(self.core),
                quoted_path(self.root)
            );
            match self.user {
                Some(user) => format!("su -s /bin/sh {} -c {}", quoted(user), quoted(&line)),
                None => line,
            }
        };
        let up = run(&format!("--profile {} up -d", quoted(self.profile)));
        let (reload, status, down) = (run("up -d"), run("status"), run("down"));
        format!(
            "#!/sbin/openrc-run\n\
             {MARK}\n\
             description={}\n\
             extra_started_commands=\"reload\"\n\
             \n\
             depend() {{\n\
             \tneed localmount\n\
             \tuse net\n\
             \tafter bootmisc\n\
             }}\n\
             \n\
             start() {{\n\
             \tebegin \"Starting the stack\"\n\
             \t{up}\n\
             \t# Something of it may not be ready, which is no reason to end the rest.\n\
             \t{status} >/dev/null\n\
             \teend $?\n\
             }}\n\
             \n\
             reload() {{\n\
             \t{reload}\n\
             }}\n\
             \n\
             stop() {{\n\
             \tebegin \"Stopping the stack\"\n\
             \t{down}\n\
             \teend $?\n\
             }}\n",
            quoted(&format!("core: the stack in {}", self.root.display())),
        )
    }

    /// A line of a crontab.
    pub(super) fn cron(&self) -> String {
        let root = quoted_path(self.root);
        let line = format!(
            "@reboot i=0; until [ -d {root}/services ] || [ $i -ge {PATIENCE} ]; do i=$((i+1)); sleep 1; done; \
             PATH={} {} --root {root} --profile {} up -d >/dev/null 2>&1 ",
            quoted(self.path),
            quoted_path(self.core),
            quoted(self.profile),
        );
        escaped(&line) + &mark_of_line(self.root)
    }
}

/// The end of a line of a crontab that starts this stack, as it stands in the table.
pub(super) fn mark_of_line(root: &Path) -> String {
    escaped(&format!("# core boot: {}", root.display()))
}

/// A percent sign ends a line of cron (crontab(5)).
fn escaped(text: &str) -> String {
    text.replace('%', "\\%")
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_stay_words() {
        let start = Start {
            core: "/opt/a b/core".as_ref(),
            root: "/srv/it's 100%".as_ref(),
            profile: "production",
            path: "/usr/bin:/bin",
            user: Some("app"),
        };
        let unit = start.unit(false);
        assert!(unit.contains("ExecStart=\"/opt/a b/core\" --root \"/srv/it's 100%%\" --profile"), "{unit}");
        assert!(unit.contains("RequiresMountsFor=/srv/it's\\x20100%%\n"), "{unit}");
        let line = start.cron();
        assert!(line.contains(r"'/srv/it'\''s 100\%'/services"), "{line}");
        assert_eq!(line.lines().count(), 1);
        let script = start.script();
        assert!(script.contains("su -s /bin/sh app -c 'PATH="), "{script}");
        assert!(line.ends_with(&mark_of_line(start.root)), "{line}");
    }
}
