//! An archive that comes through a pipe: kept until it is whole, so that what was cut off goes on where it stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

use crate::paths::Paths;

/// How long the beginning of an archive is kept whose rest does not come.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How much is read at once.
const PIECE: usize = 1 << 18;

/// An archive on its way.
pub struct Incoming {
    path: PathBuf,
    /// Nobody else writes it meanwhile.
    file: Flock<File>,
    expected: Option<Expected>,
}

/// What the sender says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Expected {
    /// Of a file that is to be sent.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn of(file: &mut File) -> io::Result<Self> {
        file.rewind()?;
        let mut hash = Sha256::new();
        let size = pass(file, |piece| {
            hash.update(piece);
            Ok(())
        })?;
        Ok(Self { sha256: core_stack::hex(&hash.finalize()), size })
    }

    /// Of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { sha256: core_stack::hex(&Sha256::digest(bytes)), size: bytes.len() as u64 }
    }

    /// As one word, which `parse` understands.
    pub fn word(&self) -> String {
        format!("{}:{}", self.sha256, self.size)
    }

    /// From that word.
    ///
    /// # Errors
    /// What is expected instead, as text for people.
    pub fn parse(word: &str) -> Result<Self, String> {
        let parsed = word.split_once(':').and_then(|(sha256, size)| {
            let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then_some(Self { sha256: sha256.to_ascii_lowercase(), size: size.parse().ok()? })
        });
        parsed.ok_or_else(|| "expected SHA256:BYTES".to_owned())
    }
}

impl Incoming {
    /// The archive that a sender has announced, with what has come of it so far; or one of which nothing is known.
    ///
    /// # Errors
    /// It cannot be kept, or another process receives it now, as text for people.
    pub fn open(paths: &Paths, expected: Option<Expected>) -> Result<Self, String> {
        let folder = paths.state().join("incoming");
        let failed = |error: io::Error| format!("{}: {error}", paths.shown(&folder));
        fs::create_dir_all(&folder).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let name = expected.as_ref().map_or_else(|| format!("pipe-{}", std::process::id()), |one| one.sha256.clone());
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(expected.is_none()).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| "another process receives this archive now".to_owned())?;
        Ok(Self { path, file, expected })
    }

    /// How many bytes of it are there.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn have(&self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        // More than was announced is something else.
        Ok(if self.expected.as_ref().is_some_and(|expected| size > expected.size) { 0 } else { size })
    }

    /// Receives the rest. Returns the path of the whole archive.
    ///
    /// # Errors
    /// It did not come whole, or cannot be kept, as text for people. Without announcement, or if there is no room for it,
    /// nothing of it is kept.
    pub fn receive(mut self, from: &mut impl Read) -> Result<PathBuf, String> {
        let done = self.take(from);
        let is_kept = done.is_ok() || matches!(&done, Err(Broken::Short(_)) if self.expected.is_some());
        if !is_kept {
            let _ = fs::remove_file(&self.path);
        }
        match done {
            Ok(()) => Ok(self.path),
            Err(Broken::Short(have)) => {
                let size = self.expected.map_or(have, |expected| expected.size);
                Err(format!("the archive ended after {have} of {size} bytes; the same command goes on from there"))
            }
            Err(Broken::Other) => Err("the archive that came is not the one that was sent; try again".to_owned()),
            Err(Broken::Failed(error)) => Err(format!("the archive cannot be kept: {error}")),
        }
    }

    fn take(&mut self, from: &mut impl Read) -> Result<(), Broken> {
        let have = self.have()?;
        self.file.set_len(have)?;
        self.file.seek(SeekFrom::Start(have))?;
        let rest = self.expected.as_ref().map_or(u64::MAX, |expected| expected.size - have);
        let file = &mut *self.file;
        let came = pass(&mut from.take(rest), |piece| file.write_all(piece))?;
        self.file.sync_all()?;
        let Some(expected) = &self.expected else { return Ok(()) };
        if have + came < expected.size {
            return Err(Broken::Short(have + came));
        }
        if Expected::of(&mut self.file)? == *expected { Ok(()) } else { Err(Broken::Other) }
    }
}

/// Why an archive did not come whole.
enum Broken {
    /// It ended after so many bytes.
    Short(u64),
    /// It is another one.
    Other,
    Failed(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads to the end, piece by piece. Returns the number of bytes.
fn pass(from: &mut impl Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                take(&piece[..count])?;
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, Paths, File, Expected) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let sent = root.join("sent");
        fs::write(&sent, "0123456789").unwrap();
        let mut file = File::open(sent).unwrap();
        let expected = Expected::of(&mut file).unwrap();
        let paths = Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None };
        (folder, paths, file, expected)
    }

    #[test]
    fn what_was_cut_off_goes_on_where_it_stopped() {
        let (_folder, paths, mut file, expected) = scene();
        assert_eq!(Expected::parse(&expected.word()), Ok(expected.clone()));
        let open = || Incoming::open(&paths, Some(expected.clone())).unwrap();
        let said = open().receive(&mut "0123".as_bytes()).unwrap_err();
        assert_eq!(said, "the archive ended after 4 of 10 bytes; the same command goes on from there");
        assert!(Incoming::open(&paths, Some(expected.clone())).is_ok());
        let again = open();
        assert_eq!(again.have().unwrap(), 4);
        assert!(Incoming::open(&paths, Some(expected.clone())).is_err(), "one process at a time");
        file.seek(SeekFrom::Start(4)).unwrap();
        let whole = again.receive(&mut file).unwrap();
        assert_eq!(fs::read_to_string(whole).unwrap(), "0123456789");
    }

    #[test]
    fn another_archive_is_not_kept() {
        let (_folder, paths, _, expected) = scene();
        let said = Incoming::open(&paths, Some(expected.clone())).unwrap().receive(&mut "01234567xx".as_bytes());
        assert!(said.unwrap_err().contains("is not the one that was sent"));
        assert_eq!(Incoming::open(&paths, Some(expected)).unwrap().have().unwrap(), 0);
        assert!(Expected::parse("abc:1").is_err());
    }
}
