//! Whose files are trusted. core never runs, follows or obeys a file that could be changed by a user other than the one
//! who runs core, root, and the owner of the stack's folder.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use core_engine::Topology;
use core_engine::topology::Places;
use core_manifest::{Diagnostic, ServiceSpec, Template};
use nix::unistd::{Gid, Group, Uid, User, geteuid};

use crate::users;
use crate::which::find_program;

/// Why a file is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// What is wrong, to append to the name of the file.
    pub(crate) what: String,
    /// The command to type before the name of the file.
    pub(crate) remedy: &'static str,
}

/// The users who are trusted with the files of a stack.
#[derive(Debug)]
pub struct Trust {
    users: Vec<u32>,
    /// Cached results by GID: whether an untrusted user is in the group.
    groups: RefCell<BTreeMap<u32, bool>>,
}

impl Trust {
    /// The trusted users for the stack at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        let owner = fs::metadata(root).ok().map(|meta| meta.uid());
        Self::with(owner)
    }

    fn with(owner: Option<u32>) -> Self {
        let mut users = vec![geteuid().as_raw(), 0];
        users.extend(owner);
        Self { users, groups: RefCell::default() }
    }

    /// Checks whether a root that was found, not named, may be used: core would run what is written there. A user who
    /// became root with sudo(8) may use their own folder.
    ///
    /// # Errors
    /// Why not, to append to its name.
    pub fn check_found(root: &Path) -> Result<(), String> {
        let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok()).filter(|_| geteuid().is_root());
        let meta = fs::metadata(root).map_err(|error| error.to_string())?;
        Self::with(sudo).check(&meta).map_err(|open| open.what)
    }

    /// Whether this user is trusted.
    pub(crate) fn knows(&self, uid: u32) -> bool {
        self.users.contains(&uid)
    }

    /// Checks by metadata that no untrusted user could change a file, or add to a folder.
    pub(crate) fn check(&self, meta: &Metadata) -> Result<(), Open> {
        let is_shared = meta.is_dir() && meta.mode() & 0o1002 == 0o1002;
        if is_shared {
            // With the sticky bit, others cannot rename existing files there, but can add new ones.
            let what = format!("can be added to by others (mode {:04o})", meta.mode() & 0o7777);
            return Err(Open { what, remedy: "chmod go-w" });
        }
        self.check_above(meta)
    }

    /// The same for a folder above: there it is enough that others cannot rename existing files.
    fn check_above(&self, meta: &Metadata) -> Result<(), Open> {
        let mode = meta.mode() & 0o7777;
        if !self.users.contains(&meta.uid()) {
            let who = users::name(meta.uid()).unwrap_or_else(|| format!("user {}", meta.uid()));
            let what = format!("belongs to {who}, who could change it");
            return Err(Open { what, remedy: "chown --reference=." });
        }
        match self.is_writable_by_others(meta) {
            Some(what) => Err(Open { what, remedy: if mode & 0o002 != 0 { "chmod go-w" } else { "chmod g-w" } }),
            None => Ok(()),
        }
    }

    /// A message that its mode lets others change it, to append to its name; `None` if it does not.
    pub(crate) fn is_writable_by_others(&self, meta: &Metadata) -> Option<String> {
        let mode = meta.mode() & 0o7777;
        // In a folder like /tmp, others cannot rename existing files.
        let is_sticky = meta.is_dir() && mode & 0o1000 != 0;
        let by_others = mode & 0o002 != 0;
        let by_group = mode & 0o020 != 0 && self.has_others(meta.gid());
        (!is_sticky && (by_others || by_group)).then(|| format!("can be changed by others (mode {mode:03o})"))
    }

    /// Checks that no untrusted user could change or replace a program; links are followed.
    ///
    /// # Errors
    /// The path that could be changed, and why.
    pub(crate) fn check_program(&self, program: &Path) -> Result<(), String> {
        let Ok(real) = fs::canonicalize(program) else { return Ok(()) };
        for path in real.ancestors() {
            let open = fs::metadata(path).ok().and_then(|meta| self.check_above(&meta).err());
            if let Some(Open { what, .. }) = open {
                return Err(format!("{} {what}", path.display()));
            }
        }
        Ok(())
    }

    /// Reports commands that untrusted users could change. The user that a service runs as is trusted for it.
    pub(crate) fn check_commands(
        &self,
        topology: &Topology,
        places: &dyn Places,
        path: Option<&str>,
        dep: &Path,
        out: &mut Vec<Diagnostic>,
    ) {
        let mut known: BTreeMap<(String, Option<String>, Option<u32>), Option<String>> = BTreeMap::new();
        for spec in topology.services.values().filter(|spec| !spec.shell) {
            // Programs in `.dep` are made again before they run, if others could change them.
            let Some(command) = spec.command.known_text().filter(|command| !Path::new(command).starts_with(dep)) else {
                continue;
            };
            let user =
                spec.identity.user.as_deref().and_then(|name| users::user(name).ok()).map(|user| user.uid.as_raw());
            // A service may have its own PATH, in which its command is looked up.
            let own_path = spec.env.get("PATH").and_then(Template::known_text);
            let found = known.entry((command.clone(), own_path.clone(), user)).or_insert_with(|| {
                let program = find_program(&command, own_path.as_deref().or(path))?;
                self.with_user(user).check_program(&program).err()
            });
            let found = found.clone().or_else(|| self.with_user(user).check_script(spec));
            if let Some(why) = found {
                out.push(
                    Diagnostic::new("open-program", format!("what `{}` would run is not safe: {why}", spec.name))
                        .at_opt(places.span(&spec.name, &["process", "command"]))
                        .service(spec.name.as_str())
                        .help("take the right to write from others (chmod go-w), or give it to its owner (chown)"),
                );
            }
        }
    }

    /// The same, but also trusts this user.
    fn with_user(&self, user: Option<u32>) -> Self {
        Self { users: self.users.iter().copied().chain(user).collect(), groups: RefCell::default() }
    }

    /// Checks the first file that the arguments of a command name: if the command is an interpreter, that file is the
    /// program. Returns why it is not safe.
    fn check_script(&self, spec: &ServiceSpec) -> Option<String> {
        let folder = spec.working_dir.known_text()?;
        let words = spec.args.iter().filter_map(Template::known_text);
        let mut paths = words.filter(|word| !word.starts_with('-')).map(|word| Path::new(&folder).join(word));
        let script = paths.find(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file()))?;
        self.check_program(&script).err()
    }

    /// Whether an untrusted user is in a group. Most users have a group of their own, so their files may be
    /// group-writable; other users with it as primary group are only found in `/etc/passwd`.
    fn has_others(&self, gid: u32) -> bool {
        if let Some(known) = self.groups.borrow().get(&gid) {
            return *known;
        }
        let is_trusted = |uid: u32| self.users.contains(&uid);
        let members = Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.mem).unwrap_or_default();
        let by_name = |name: &String| User::from_name(name).ok().flatten().map(|user| user.uid);
        let named = members.iter().any(|name| by_name(name).is_some_and(|uid: Uid| !is_trusted(uid.as_raw())));
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let first = passwd.lines().any(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
            number(3) == Some(gid) && number(2).is_some_and(|uid| !is_trusted(uid))
        });
        let has_others = named || first;
        self.groups.borrow_mut().insert(gid, has_others);
        has_others
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn what_others_could_change_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "").unwrap();
        let trust = Trust::of(folder.path());
        let told = |mode: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            trust.check(&fs::metadata(&path).unwrap()).err().map(|open| open.what)
        };
        assert_eq!(told(0o644), None);
        assert_eq!(told(0o666).as_deref(), Some("can be changed by others (mode 666)"));
        if !geteuid().is_root() {
            return;
        }
        // No user is in group 4711, but the user nobody is in the primary group of nobody.
        chown(&path, None, Some(4711)).unwrap();
        assert_eq!(told(0o664), None);
        let nobody = User::from_name("nobody").unwrap().unwrap();
        chown(&path, None, Some(nobody.gid.as_raw())).unwrap();
        assert_eq!(told(0o664).as_deref(), Some("can be changed by others (mode 664)"));
        chown(&path, Some(nobody.uid.as_raw()), None).unwrap();
        assert_eq!(told(0o644).as_deref(), Some("belongs to nobody, who could change it"));
        chown(folder.path(), Some(nobody.uid.as_raw()), None).unwrap();
        let trust = Trust::of(folder.path());
        assert_eq!(trust.check(&fs::metadata(&path).unwrap()), Ok(()), "the whole stack is his");
    }
}
