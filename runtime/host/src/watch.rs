//! Notices edits of the manifests when they are saved.
//!
//! A reported change (`changes`) is only a reason to look: files are compared by their contents. So it does not matter
//! whether a file was touched, rewritten, renamed into place or reached through a link, and a lost event only delays an
//! edit until the next look.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use core_manifest::SourceFile;
use core_manifest::named::{self, Named};
use tokio::sync::mpsc::UnboundedSender;

use crate::changes::Changes;
use crate::{certificates, files};

/// A hash of all files that a topology is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// The hash of the present files. A file that cannot be read counts with its error.
    pub(crate) fn of(root: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        for file in files(root) {
            let contents = files::read(&file).map_err(|error| error.kind());
            (file, contents).hash(&mut hasher);
        }
        Self(hasher.finish())
    }

    /// The hash as a number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Sends the hash of the files, first at the start and then after each change, from its own thread, until the receiver
/// is dropped. If the system has no thread left, edits wait for `core apply`.
pub(crate) fn begin(root: PathBuf, sender: UnboundedSender<Fingerprint>) {
    let thread = std::thread::Builder::new().name("watch".into()).spawn(move || run(&root, &sender));
    if let Err(error) = thread {
        tracing::warn!("edits are not followed: {error}");
    }
}

fn run(root: &Path, sender: &UnboundedSender<Fingerprint>) {
    let mut last = None;
    loop {
        // Watch first, then look, so that no change is missed. Watches are set up again each time, since a watched
        // folder may have been replaced.
        let files = files(root);
        let changes = Changes::of(root, &files, &folders(root, &files));
        let now = Fingerprint::of(root);
        if last != Some(now) && sender.send(now).is_err() {
            return;
        }
        last = Some(now);
        changes.wait();
    }
}

/// The files that a topology is made of, in order: `.env`, the profiles with the lock file, the manifests, and what these name.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::from([root.join(".env")]);
    all.extend(entries(&root.join("manifests")).filter(|path| path.extension().is_some_and(|ending| ending == "json")));
    all.extend(entries(&root.join("services")).map(|folder| folder.join("service.json")));
    let is_manifest = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let text = |path: &PathBuf| Some(Arc::new(SourceFile { path: String::new(), text: files::read_text(path).ok()? }));
    let texts: Vec<Arc<SourceFile>> = all.iter().filter(is_manifest).filter_map(text).collect();
    let named = Named::of(&texts);
    all.extend(named.lists.iter().map(|path| root.join(path)));
    for folder in named.folders.iter().map(|path| root.join(path)) {
        let is_page = |path: &PathBuf| path.extension().is_some_and(|ending| ending == named::PAGE);
        all.extend(entries(&folder).filter(is_page));
        // A page that may come, so that the folder is watched.
        all.insert(folder.join("404.html"));
    }
    all.extend(named.certificates.iter().flat_map(|path| certificates::files(&root.join(path))));
    all
}

/// The folders of these files, and those above in which a folder may be replaced. For a file that is a link, the folder
/// of its target as well.
fn folders(root: &Path, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::from([root.to_owned(), root.join("manifests"), root.join("services")]);
    for file in files {
        all.extend(file.parent().map(Path::to_owned));
        if file.is_symlink() {
            all.extend(fs::canonicalize(file).ok().and_then(|target| target.parent().map(Path::to_owned)));
        }
    }
    all
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    struct Watched {
        folder: tempfile::TempDir,
        seen: UnboundedReceiver<Fingerprint>,
        last: Option<Fingerprint>,
    }

    impl Watched {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["manifests", "services/web", "elsewhere"] {
                fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            fs::write(folder.path().join("services/web/service.json"), "1").unwrap();
            let (sender, seen) = unbounded_channel();
            begin(folder.path().to_owned(), sender);
            let mut watched = Self { folder, seen, last: None };
            watched.sees("the beginning");
            watched
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Waits until the last hash sent is that of the present files.
        fn sees(&mut self, what: &str) {
            let until = Instant::now() + Duration::from_secs(60);
            while self.last != Some(Fingerprint::of(self.folder.path())) {
                assert!(Instant::now() < until, "{what} was not seen");
                match self.seen.try_recv() {
                    Ok(seen) => self.last = Some(seen),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }
    }

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let mut watched = Watched::new();
        let manifest = watched.path("services/web/service.json");
        fs::write(&manifest, "2").unwrap();
        watched.sees("a write");
        fs::write(watched.path("services/web/.new"), "3").unwrap();
        fs::rename(watched.path("services/web/.new"), &manifest).unwrap();
        watched.sees("a file put in its place");
        fs::write(watched.path(".env"), "A=1").unwrap();
        watched.sees("a new .env");
        fs::write(watched.path("manifests/local.json"), "{}").unwrap();
        watched.sees("a profile");
        fs::create_dir(watched.path("services/new")).unwrap();
        fs::write(watched.path("services/new/service.json"), "1").unwrap();
        watched.sees("a new service");
        fs::write(watched.path("services/new/service.json"), "2").unwrap();
        watched.sees("a write to a new service");
        fs::rename(watched.path("services"), watched.path("before")).unwrap();
        watched.sees("services/ taken away");
        fs::rename(watched.path("before"), watched.path("services")).unwrap();
        watched.sees("services/ put back");
        fs::write(&manifest, "4").unwrap();
        watched.sees("a write to a folder that was away");
        fs::remove_file(&manifest).unwrap();
        watched.sees("a manifest taken away");
        fs::write(watched.path("elsewhere/linked.json"), "1").unwrap();
        symlink("../../elsewhere/linked.json", &manifest).unwrap();
        watched.sees("a link in its place");
        fs::write(watched.path("elsewhere/linked.json"), "2").unwrap();
        watched.sees("a write to what a link leads to");
        fs::rename(watched.path("services/new"), watched.path("elsewhere/new")).unwrap();
        symlink("../elsewhere/new", watched.path("services/new")).unwrap();
        watched.sees("a folder that is a link");
        fs::write(watched.path("elsewhere/new/service.json"), "3").unwrap();
        watched.sees("a write below a folder that is a link");
        fs::write(&manifest, r#"{"deny": ["file:lists/deny.txt"]}"#).unwrap();
        watched.sees("a list is named");
        fs::create_dir(watched.path("lists")).unwrap();
        fs::write(watched.path("lists/deny.txt"), "10.0.0.1").unwrap();
        watched.sees("the list that is named");
        fs::write(watched.path("lists/new"), "10.0.0.2").unwrap();
        fs::rename(watched.path("lists/new"), watched.path("lists/deny.txt")).unwrap();
        watched.sees("another list in its place");
    }

    #[test]
    fn what_is_followed_beside_the_manifests_is_seen() {
        let mut watched = Watched::new();
        // As certbot lays certificates: links into an archive, which are replaced.
        let (archive, live) = (watched.path("elsewhere/archive"), watched.path("elsewhere/live"));
        for folder in [&archive, &live] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(archive.join("1.pem"), "1").unwrap();
        symlink("../archive/1.pem", live.join("chain.pem")).unwrap();
        let manifest = watched.path("services/web/service.json");
        fs::write(&manifest, r#"{"certificates": ["elsewhere/live"]}"#).unwrap();
        watched.sees("that there is more to follow");
        fs::write(archive.join("1.pem"), "2").unwrap();
        watched.sees("a write to what a link leads to");
        fs::write(archive.join("2.pem"), "3").unwrap();
        symlink("../archive/2.pem", live.join(".new")).unwrap();
        fs::rename(live.join(".new"), live.join("chain.pem")).unwrap();
        watched.sees("another link");
        fs::write(archive.join("2.pem"), "4").unwrap();
        watched.sees("a write to what that leads to");
        fs::write(live.join("other.pem"), "5").unwrap();
        watched.sees("another file in a folder");
        fs::create_dir(live.join("b.example")).unwrap();
        fs::write(live.join("b.example/fullchain.pem"), "6").unwrap();
        watched.sees("another folder");
        fs::write(&manifest, "{}").unwrap();
        watched.sees("that there is less to follow");
    }

    #[test]
    fn what_is_in_the_files_counts_and_nothing_else() {
        let mut watched = Watched::new();
        let manifest = watched.path("services/web/service.json");
        let same = fs::read(&manifest).unwrap();
        fs::write(&manifest, same).unwrap();
        fs::write(watched.path("services/web/README.md"), "x").unwrap();
        // Each of these is a reason to look, but only the following change is sent.
        fs::write(&manifest, "other").unwrap();
        watched.sees("a change");
        assert!(watched.seen.is_empty());
    }
}
