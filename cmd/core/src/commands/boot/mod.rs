//! `core boot`

mod texts;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use core_host::paths::Paths;
use nix::unistd::{Uid, User, geteuid};

use crate::cli::{BootArgs, BootCommand, BootManager};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};
use texts::{MARK, Start, mark_of_line};

/// What a message says to do, beside what went wrong.
type Failure = (String, Option<String>);

pub(crate) fn run(context: &Context, args: &BootArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let boot = match Boot::new(context, &paths, args.manager) {
        Ok(boot) => boot,
        Err(message) => {
            render::error(&message);
            return Exit::Failed;
        }
    };
    let done = match args.command.as_ref().unwrap_or(&BootCommand::Show) {
        BootCommand::Show => {
            boot.show();
            return Exit::Ok;
        }
        BootCommand::On => boot.on(),
        BootCommand::Off => boot.off(),
    };
    match done {
        Ok(said) => {
            render::note(&said);
            Exit::Ok
        }
        Err((message, help)) => {
            render::error(&message);
            if let Some(help) = help {
                render::help(&help);
            }
            Exit::Failed
        }
    }
}

/// How this stack starts with the host.
struct Boot {
    manager: BootManager,
    /// Of systemd: of the user's own instance.
    is_of_user: bool,
    core: PathBuf,
    root: PathBuf,
    /// What stands for the root in names.
    hash: String,
    profile: String,
    path: String,
    /// The user who owns the stack, if that is not the one who runs this.
    user: Option<User>,
}

impl Boot {
    fn new(context: &Context, paths: &Paths, manager: Option<BootManager>) -> Result<Self, String> {
        let core = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
        let meta = fs::metadata(&paths.root).map_err(|error| format!("{}: {error}", paths.root.display()))?;
        let is_root = geteuid().is_root();
        let owner = Uid::from_raw(meta.uid());
        let user = if is_root && !owner.is_root() {
            // Root does not run what somebody else has written.
            let known = User::from_uid(owner).ok().flatten();
            let unknown = || format!("{} belongs to user {owner}, whom this host does not know", paths.root.display());
            Some(known.ok_or_else(unknown)?)
        } else {
            None
        };
        let manager = manager.unwrap_or_else(found);
        Ok(Self {
            manager,
            is_of_user: manager == BootManager::Systemd && !is_root,
            core,
            root: paths.root.clone(),
            hash: paths.hash.clone(),
            profile: context.profile(paths),
            path: std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into()),
            user,
        })
    }

    /// The name of the unit or script: that of the folder, and a few digits that tell two of them apart.
    fn name(&self) -> String {
        let last = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("core-{plain}-{}", self.hash.chars().take(4).collect::<String>())
    }

    /// The file; `None` for cron, which has one table for each user.
    fn place(&self) -> Option<PathBuf> {
        let name = self.name();
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let config = || std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home().join(".config"), PathBuf::from);
        match self.manager {
            BootManager::Systemd if self.is_of_user => Some(config().join(format!("systemd/user/{name}.service"))),
            BootManager::Systemd => Some(format!("/etc/systemd/system/{name}.service").into()),
            BootManager::Openrc => Some(format!("/etc/init.d/{name}").into()),
            BootManager::Cron => None,
        }
    }

    fn text(&self) -> String {
        let start = Start {
            core: &self.core,
            root: &self.root,
            profile: &self.profile,
            path: &self.path,
            user: self.user.as_ref().map(|user| user.name.as_str()).filter(|_| self.manager != BootManager::Cron),
        };
        match self.manager {
            BootManager::Systemd => start.unit(self.is_of_user),
            BootManager::Openrc => start.script(),
            BootManager::Cron => start.cron(),
        }
    }

    fn show(&self) {
        let (place, is_on) = match self.place() {
            Some(place) => (place.display().to_string(), place.exists()),
            None => {
                let mark = mark_of_line(&self.root);
                let has_line = self.table().is_ok_and(|lines| lines.iter().any(|line| line.ends_with(&mark)));
                ("the crontab".to_owned(), has_line)
            }
        };
        let state = if is_on {
            "on: the stack starts with the host"
        } else {
            "off: `core boot on` starts the stack with the host"
        };
        render::note(&format!("{state}; {place}, profile {}", self.profile));
        render::line(self.text().trim_end());
    }

    fn on(&self) -> Result<String, Failure> {
        match self.place() {
            Some(place) => {
                write(&place, &self.text(), self.manager == BootManager::Openrc)?;
                self.enable(true)?;
                let linger = self.linger();
                let said = format!("{}: {}, profile {}", styled(GREEN, "on"), place.display(), self.profile);
                Ok(linger.map_or_else(|| said.clone(), |linger| format!("{said}\n{linger}")))
            }
            None => {
                let mut lines = self.table()?;
                lines.retain(|line| !line.ends_with(&mark_of_line(&self.root)));
                lines.push(self.text());
                self.set_table(&lines)?;
                Ok(format!("{}: a line of the crontab, profile {}", styled(GREEN, "on"), self.profile))
            }
        }
    }

    fn off(&self) -> Result<String, Failure> {
        match self.place() {
            Some(place) if !place.exists() => Ok(format!("off already: there is no {}", place.display())),
            Some(place) => {
                refuse_foreign(&place)?;
                self.enable(false)?;
                fs::remove_file(&place).map_err(|error| (format!("{}: {error}", place.display()), None))?;
                self.reload();
                Ok(format!("off: {} is gone; the stack runs on", place.display()))
            }
            None => {
                let (before, mark) = (self.table()?, mark_of_line(&self.root));
                let lines: Vec<String> = before.iter().filter(|line| !line.ends_with(&mark)).cloned().collect();
                if lines.len() == before.len() {
                    return Ok("off already: there is no line of it in the crontab".to_owned());
                }
                self.set_table(&lines)?;
                Ok("off: its line is gone from the crontab; the stack runs on".to_owned())
            }
        }
    }

    /// Has the manager start it at boot, or no longer. The stack that runs is left alone.
    fn enable(&self, on: bool) -> Result<(), Failure> {
        self.reload();
        let name = self.name();
        let words: Vec<&str> = match (self.manager, on) {
            (BootManager::Systemd, true) => vec!["systemctl", "enable", &name],
            (BootManager::Systemd, false) => vec!["systemctl", "disable", &name],
            (_, true) => vec!["rc-update", "add", &name, "default"],
            (_, false) => vec!["rc-update", "del", &name, "default"],
        };
        ask(&self.of_user(words))
    }

    /// Has systemd read its units again.
    fn reload(&self) {
        if self.manager == BootManager::Systemd {
            // What comes next says what is wrong.
            let _ = ask(&self.of_user(vec!["systemctl", "daemon-reload"]));
        }
    }

    fn of_user<'a>(&self, mut words: Vec<&'a str>) -> Vec<&'a str> {
        if self.is_of_user {
            words.insert(1, "--user");
        }
        words
    }

    /// What is missing for units of a user to start before the user logs in.
    fn linger(&self) -> Option<String> {
        let name = self.is_of_user.then(|| User::from_uid(geteuid()).ok().flatten())??.name;
        let lingers = || Path::new("/var/lib/systemd/linger").join(&name).exists();
        if !lingers() {
            let _ = ask(&["loginctl", "enable-linger"]);
        }
        (!lingers()).then(|| {
            format!("it starts with your first login: `sudo loginctl enable-linger {name}` makes it start at boot")
        })
    }

    fn crontab(&self) -> Command {
        let mut command = Command::new("crontab");
        if let Some(user) = &self.user {
            command.args(["-u", &user.name]);
        }
        command
    }

    /// The lines of the crontab; none if there is none. A table that cannot be read is not replaced.
    fn table(&self) -> Result<Vec<String>, Failure> {
        let help = "install cron, or have whatever starts programs on this host run the command of `core boot show`";
        let said = self.crontab().arg("-l").output();
        let said = said.map_err(|error| (format!("crontab: {error}"), Some(help.to_owned())))?;
        let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        if !said.status.success() && !why.contains("no crontab for") {
            return Err((format!("the crontab cannot be read: {why}"), None));
        }
        let text = String::from_utf8(said.stdout).map_err(|_| ("the crontab is no text in UTF-8".to_owned(), None))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn set_table(&self, lines: &[String]) -> Result<(), Failure> {
        let set = || -> io::Result<bool> {
            let mut child = self.crontab().arg("-").stdin(Stdio::piped()).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                lines.iter().try_for_each(|line| writeln!(stdin, "{line}"))?;
            }
            Ok(child.wait()?.success())
        };
        match set() {
            Ok(true) => Ok(()),
            Ok(false) => Err(("crontab refused the table".to_owned(), None)),
            Err(error) => {
                let help =
                    "install cron, or have whatever starts programs on this host run the command of `core boot show`";
                Err((format!("crontab: {error}"), Some(help.to_owned())))
            }
        }
    }
}

/// What starts programs on this host: what runs, not what is installed.
fn found() -> BootManager {
    if Path::new("/run/systemd/system").is_dir() {
        BootManager::Systemd
    } else if Path::new("/run/openrc").is_dir() {
        BootManager::Openrc
    } else {
        BootManager::Cron
    }
}

/// Writes a file, unless somebody else has written it.
fn write(place: &Path, text: &str, is_program: bool) -> Result<(), Failure> {
    refuse_foreign(place)?;
    let done = || -> io::Result<()> {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(place, text)?;
        let mode = if is_program { 0o755 } else { 0o644 };
        fs::set_permissions(place, fs::Permissions::from_mode(mode))
    };
    done().map_err(|error| {
        let help = (error.kind() == io::ErrorKind::PermissionDenied).then(|| "as root: `sudo core boot on`".to_owned());
        (format!("{}: {error}", place.display()), help)
    })
}

fn refuse_foreign(place: &Path) -> Result<(), Failure> {
    match fs::read_to_string(place) {
        Ok(text) if !text.contains(MARK) => {
            let help = "move it away; `core boot show` prints what would be written";
            Err((format!("{} was not written by `core boot on`", place.display()), Some(help.to_owned())))
        }
        _ => Ok(()),
    }
}

/// Runs a command of the manager.
fn ask(words: &[&str]) -> Result<(), Failure> {
    let line = words.join(" ");
    let said = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    match said {
        Ok(said) if said.status.success() => Ok(()),
        Ok(said) => {
            let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            Err((format!("{line}: {why}"), None))
        }
        Err(error) => Err((format!("{line}: {error}"), None)),
    }
}
