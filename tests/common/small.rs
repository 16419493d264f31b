//! A small disk that is there for one stack alone: a tmpfs in a mount namespace of its own, which needs no privileges.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Stack, proc, until};

/// Room enough for the state and logs of a few services.
const SIZE: &str = "4m";

/// The disk. It is gone when the last process that sees it is.
pub(crate) struct Disk {
    keeper: Child,
    folder: PathBuf,
}

impl Disk {
    /// Mounted on a folder.
    pub(crate) fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let line = format!("mount -t tmpfs -o size={SIZE},mode=755 small \"$0\" && exec sleep 1000");
        let mut keeper = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &line])
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare, of util-linux");
        let mounts = format!("/proc/{}/mountinfo", keeper.id());
        until("it is mounted", || {
            assert!(keeper.try_wait().expect("it is ours").is_none(), "nothing can be mounted here");
            fs::read_to_string(&mounts).is_ok_and(|all| all.contains(&format!(" {} ", folder.display())))
        });
        Self { keeper, folder: folder.to_owned() }
    }

    /// A program that sees the disk.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.keeper.id().to_string()).args(["--user", "--mount", program]);
        command
    }

    /// A file on it, as it is seen from outside.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(folder).join(name)
    }

    /// What fills it.
    fn filling(&self) -> PathBuf {
        self.file("filling")
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.filling()).expect("a file");
        let mut piece = 64 << 10;
        while piece > 0 {
            if file.write_all(&vec![0; piece]).is_err() {
                piece /= 2;
            }
        }
    }

    /// Makes room again.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.filling()).expect("what fills it");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        proc::kill(self.keeper.id());
        let _ = self.keeper.wait();
    }
}

impl Stack {
    /// With its state and its logs on a small disk of their own, before anything of it runs.
    pub(crate) fn on_small_disk(self) -> Self {
        self.with_small_disk(".core-stack")
    }

    /// With another folder on a small disk.
    pub(crate) fn with_small_disk(mut self, folder: &str) -> Self {
        self.disk = Some(Disk::at(&self.root.join(folder)));
        self
    }

    /// The small disk, if it has one.
    pub(crate) fn small_disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// The disk of its state.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a disk of its own")
    }
}
