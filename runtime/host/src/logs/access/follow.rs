//! New entries as they come.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::chain::{self, Chain, Opened};
use super::past::{Past, now_ns, parse};
use super::{Entry, Selection, has};
use crate::paths::Paths;

/// The most bytes to read at once.
const CHUNK: usize = 256 << 10;

/// How many entries are held back to be sorted: an edge notes the times of answers that end together before it writes them, in
/// any order.
const AHEAD: usize = 1000;

/// Continues where a first reading ended.
pub struct Follower {
    paths: Paths,
    selection: Selection,
    tails: Vec<Tail>,
}

impl Follower {
    /// Passes the selected present entries to `tell`, in the order of time, until it returns false. Returns a follower that
    /// continues from there.
    pub fn begin(paths: &Paths, selection: &Selection, tell: &mut dyn FnMut(Entry) -> bool) -> Self {
        let tails: Vec<Tail> = chain::all(paths).into_iter().map(Tail::at_end).collect();
        let pasts = tails.iter().map(|tail| Past::of(&tail.chain, tail.opened.as_ref(), tail.offset));
        if let Some(count) = selection.last {
            let mut all: Vec<Entry> = pasts.flat_map(|past| past.last(selection, count)).collect();
            all.sort_by_key(|entry| entry.wall_ns);
            let skipped = all.len().saturating_sub(count);
            all.into_iter().skip(skipped).all(tell);
        } else {
            merge(pasts.map(|past| past.entries(selection)).collect(), tell);
        }
        Self { paths: paths.clone(), selection: selection.clone(), tails }
    }

    /// The selected entries of the last `seconds`, and a follower that continues from there.
    pub fn since(paths: &Paths, services: &[String], seconds: f64) -> (Vec<Entry>, Self) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are not negative")]
        let since_ns = now_ns().saturating_sub((seconds * 1e9) as u64);
        let selection = Selection { services: services.to_vec(), last: Some(usize::MAX), since_ns: Some(since_ns) };
        let mut all = Vec::new();
        let follower = Self::begin(paths, &selection, &mut |entry| {
            all.push(entry);
            true
        });
        (all, follower)
    }

    /// The selected entries since the last call, in the order of time.
    pub fn more(&mut self) -> Vec<Entry> {
        let chains = chain::all(&self.paths);
        self.tails.retain(|tail| chains.contains(&tail.chain));
        for chain in chains {
            if !self.tails.iter().any(|tail| tail.chain == chain) {
                self.tails.push(Tail::at_beginning(chain));
            }
        }
        let mut all = Vec::new();
        for tail in &mut self.tails {
            tail.more(&mut |entry| all.extend(Some(entry).filter(|entry| has(&self.selection, entry))));
        }
        all.sort_by_key(|entry| entry.wall_ns);
        all
    }
}

/// Passes entries that are nearly in order to `tell`, in the order of all of them.
fn merge<I: Iterator<Item = Entry>>(chains: Vec<I>, tell: &mut dyn FnMut(Entry) -> bool) {
    let (mut waiting, mut number) = (BTreeMap::new(), 0_u64);
    let mut chains: Vec<_> = chains.into_iter().map(Iterator::peekable).collect();
    let time = |chain: &mut std::iter::Peekable<I>| chain.peek().map(|entry| entry.wall_ns);
    while let Some((_, first)) =
        chains.iter_mut().filter_map(|chain| Some((time(chain)?, chain))).min_by_key(|(at, _)| *at)
    {
        waiting.extend(first.next().map(|entry| ((entry.wall_ns, number), entry)));
        number += 1;
        if waiting.len() > AHEAD && waiting.pop_first().is_some_and(|(_, entry)| !tell(entry)) {
            return;
        }
    }
    waiting.into_values().all(tell);
}

/// The end of a chain.
struct Tail {
    chain: Chain,
    opened: Option<Opened>,
    offset: u64,
    /// The beginning of a line.
    open: Vec<u8>,
}

impl Tail {
    fn at_beginning(chain: Chain) -> Self {
        Self { chain, opened: None, offset: 0, open: Vec::new() }
    }

    /// After the last whole line.
    fn at_end(chain: Chain) -> Self {
        let opened = Opened::at(&chain.newest()).ok();
        let offset = opened.as_ref().map_or(0, |opened| {
            let length = opened.length();
            let start = length.saturating_sub(CHUNK as u64);
            let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
            let _ = opened.file.read_exact_at(&mut bytes, start);
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            start + whole as u64
        });
        Self { chain, opened, offset, open: Vec::new() }
    }

    fn more(&mut self, tell: &mut dyn FnMut(Entry)) {
        loop {
            self.read(tell);
            let newest = std::fs::symlink_metadata(self.chain.newest()).map(|meta| meta.ino());
            let inode = self.opened.as_ref().map(|opened| opened.inode);
            if newest.as_ref().ok() == inode.as_ref() {
                return;
            }
            // It was rolled: nothing more is written to it, and all of it is read now.
            self.read(tell);
            if !self.step(inode) {
                return;
            }
        }
    }

    /// Reads what is new in the file.
    fn read(&mut self, tell: &mut dyn FnMut(Entry)) {
        let Some(opened) = &self.opened else { return };
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = opened.file.read_at(&mut buffer, self.offset).unwrap_or(0);
            if count == 0 {
                return;
            }
            self.offset += count as u64;
            self.open.extend_from_slice(&buffer[..count]);
            let whole = self.open.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.open[..whole].split(|byte| *byte == b'\n').filter_map(parse).for_each(&mut *tell);
            self.open.drain(..whole);
        }
    }

    /// Goes on to the file after the one with this inode. Returns false if there is none yet.
    fn step(&mut self, inode: Option<u64>) -> bool {
        let files: Vec<Opened> = self.chain.files().iter().filter_map(|path| Opened::at(path).ok()).collect();
        // If it was deleted meanwhile, the oldest is the next.
        let at = files.iter().position(|file| Some(file.inode) == inode).map_or(0, |at| at + 1);
        let Some(next) = files.into_iter().nth(at) else { return false };
        (self.opened, self.offset) = (Some(next), 0);
        self.open.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn line(at: u64, service: &str) -> String {
        format!(
            r#"{{"ts":{}.{:06},"logger":"http.log.access.to.{service}","duration":0.1,"size":1,"status":200,"request":{{"method":"GET","host":"h","uri":"/{at}","proto":"HTTP/1.1","client_ip":"::1"}}}}"#,
            1_700_000_000 + at / 1000,
            at % 1000 * 1000,
        ) + "\n"
    }

    struct Place {
        _root: tempfile::TempDir,
        paths: Paths,
        folder: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let paths = Paths::look(root.path()).unwrap();
            let folder = paths.data().join("edge/access");
            fs::create_dir_all(&folder).unwrap();
            Self { _root: root, paths, folder }
        }

        fn put(&self, name: &str, lines: &[u64]) {
            let text: String = lines.iter().map(|at| line(*at, if at % 2 == 0 { "web" } else { "api" })).collect();
            let path = self.folder.join(name);
            let before = fs::read_to_string(&path).unwrap_or_default();
            fs::write(path, before + &text).unwrap();
        }

        fn begin(&self, selection: &Selection) -> (Vec<String>, Follower) {
            let mut all = Vec::new();
            let follower = Follower::begin(&self.paths, selection, &mut |entry| {
                all.push(entry.path);
                true
            });
            (all, follower)
        }
    }

    fn roll(folder: &Path, instance: &str, time: &str) {
        fs::rename(folder.join(format!("{instance}.log")), folder.join(format!("{instance}-{time}-size.log"))).unwrap();
    }

    fn more(follower: &mut Follower) -> Vec<String> {
        follower.more().into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn two_edges_are_one_log() {
        let place = Place::new();
        place.put("edge-0@1.log", &[1, 2]);
        roll(&place.folder, "edge-0@1", "2026-01-01T00-00-00.000");
        place.put("edge-0@1.log", &[6, 4]);
        place.put("edge-0@2.log", &[3, 5, 7]);
        place.put("other-0@2.log", &[8]);
        assert_eq!(place.begin(&Selection::default()).0, ["/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
        let last = Selection { last: Some(3), ..Selection::default() };
        assert_eq!(place.begin(&last).0, ["/5", "/6", "/7"]);
        let web = Selection { services: vec!["web".into()], last: Some(2), ..Selection::default() };
        assert_eq!(place.begin(&web).0, ["/4", "/6"]);
        let since = 1_700_000_000_005_000_000;
        let since = Selection { since_ns: Some(since), ..Selection::default() };
        assert_eq!(place.begin(&since).0, ["/5", "/6", "/7"]);
    }

    #[test]
    fn nothing_is_missed_or_told_twice_while_files_are_rolled() {
        let place = Place::new();
        place.put("edge-0@1.log", &[1, 2]);
        let (first, mut follower) = place.begin(&Selection { last: Some(1), ..Selection::default() });
        assert_eq!(first, ["/2"]);
        assert!(more(&mut follower).is_empty());
        place.put("edge-0@1.log", &[3]);
        roll(&place.folder, "edge-0@1", "2026-01-01T00-00-00.000");
        place.put("edge-0@1.log", &[4]);
        roll(&place.folder, "edge-0@1", "2026-01-01T00-00-01.000");
        place.put("edge-0@1.log", &[6]);
        place.put("edge-0@2.log", &[5]);
        assert_eq!(more(&mut follower), ["/3", "/4", "/5", "/6"]);
        assert!(more(&mut follower).is_empty());
        // The beginning of a line waits for its end.
        let path = place.folder.join("edge-0@2.log");
        let (before, whole) = (fs::read_to_string(&path).unwrap(), line(7, "web"));
        fs::write(&path, before.clone() + &whole[..20]).unwrap();
        assert!(more(&mut follower).is_empty());
        fs::write(&path, before + &whole).unwrap();
        assert_eq!(more(&mut follower), ["/7"]);
        // What was deleted before it was looked at costs nothing else.
        roll(&place.folder, "edge-0@2", "2026-01-01T00-00-02.000");
        fs::remove_file(place.folder.join("edge-0@2-2026-01-01T00-00-02.000-size.log")).unwrap();
        assert!(more(&mut follower).is_empty());
        place.put("edge-0@2.log", &[8]);
        assert_eq!(more(&mut follower), ["/8"]);
    }
}
