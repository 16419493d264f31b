//! Records in the run folder: what was started, and how it exited. One `key value` per line, for people and programs.
//!
//! They survive the death of every process of core: each is written to a new file that is then renamed, but never
//! synced. The run folder is on a tmpfs; after a power failure there is nothing left that a record could describe.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The start of a record with a checksum.
const SUM: &str = "sum ";

/// The record of a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Number of the invocation.
    pub number: u32,
    /// The value of `CORE_INSTANCE` in the environment of its tree.
    pub mark: String,
    /// Text from the supervisor.
    pub note: String,
    /// The ID of the boot in which it was started.
    pub boot: String,
    /// PID of its first process; 0 until it was forked.
    pub pid: u32,
    /// Start time of that process, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// Inode of the pidfd of that process, unique for as long as the host is up (Linux 6.9 and later).
    pub pidfd_inode: u64,
    /// Start time on the wall clock, nanoseconds since 1970.
    pub wall_ns: u64,
    /// The folder of its logs.
    pub log_folder: String,
    /// Prefix of the names of its log segments.
    pub log_prefix: String,
    /// Size of a log segment in bytes.
    pub segment_bytes: u64,
    /// Address of the socket on which it reports its state; empty if it has none, and in records of the first releases.
    pub notify: String,
}

/// The record of an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Number of the invocation.
    pub number: u32,
    /// Wait status; -1 if it is unknown.
    pub status: i32,
    /// Whether other processes of its tree were alive when this was written.
    pub leftovers: bool,
    /// Exit time on the wall clock, nanoseconds since 1970.
    pub wall_ns: u64,
    /// Exit time on the monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// CPU time in user mode, microseconds.
    pub user_us: u64,
    /// CPU time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident set size, KiB.
    pub max_rss_kib: u64,
}

/// What a service has reported about itself (`sd_notify`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// Number of the invocation.
    pub number: u32,
    /// Whether it reported that it is ready.
    pub ready: bool,
    /// Whether it reported that it is stopping.
    pub stopping: bool,
    /// When it last reported that it is alive: monotonic clock, nanoseconds; 0 if it never did.
    pub beat_ns: u64,
    /// Its status, in its own words.
    pub status: String,
}

impl Invocation {
    /// Writes the record to `path`.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self {
            number,
            mark,
            note,
            boot,
            pid,
            start_ticks,
            pidfd_inode,
            wall_ns,
            log_folder,
            log_prefix,
            segment_bytes,
            notify,
        } = self;
        let mut text = String::with_capacity(400);
        let _ = write!(
            text,
            "number {number}\nmark {mark}\nboot {boot}\npid {pid}\nstart_ticks {start_ticks}\npidfd_inode {pidfd_inode}\n\
             wall_ns {wall_ns}\nsegment_bytes {segment_bytes}\nnotify {notify}\nlog_prefix {log_prefix}\nlog_folder {}\nnote {}\n",
            log_folder.replace('\n', " "),
            note.replace('\n', " ")
        );
        replace(path, &text)
    }

    /// Reads the record from `path`.
    ///
    /// # Errors
    /// When there is no record, or it is damaged.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = read(path)?;
        let record = Self {
            number: number(&text, "number")?,
            mark: field(&text, "mark")?.to_owned(),
            note: field(&text, "note")?.to_owned(),
            boot: field(&text, "boot")?.to_owned(),
            pid: number(&text, "pid")?,
            start_ticks: number(&text, "start_ticks")?,
            pidfd_inode: number(&text, "pidfd_inode")?,
            wall_ns: number(&text, "wall_ns")?,
            log_folder: field(&text, "log_folder")?.to_owned(),
            log_prefix: field(&text, "log_prefix")?.to_owned(),
            segment_bytes: number(&text, "segment_bytes")?,
            notify: field(&text, "notify").unwrap_or_default().to_owned(),
        };
        Ok(record)
    }
}

impl Ended {
    /// Writes the record to `path`.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self { number, status, leftovers, wall_ns, monotonic_ns, user_us, system_us, max_rss_kib } = self;
        let text = format!(
            "number {number}\nstatus {status}\nleftovers {leftovers}\nwall_ns {wall_ns}\nmonotonic_ns {monotonic_ns}\nuser_us {user_us}\n\
             system_us {system_us}\nmax_rss_kib {max_rss_kib}\n"
        );
        replace(path, &text)
    }

    /// Reads the record from `path`.
    ///
    /// # Errors
    /// When there is no record, or it is damaged.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = read(path)?;
        Ok(Self {
            number: number(&text, "number")?,
            status: number(&text, "status")?,
            leftovers: number(&text, "leftovers")?,
            wall_ns: number(&text, "wall_ns")?,
            monotonic_ns: number(&text, "monotonic_ns")?,
            user_us: number(&text, "user_us")?,
            system_us: number(&text, "system_us")?,
            max_rss_kib: number(&text, "max_rss_kib")?,
        })
    }
}

impl Notified {
    /// Writes the record to `path`.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self { number, ready, stopping, beat_ns, status } = self;
        let status = status.replace('\n', " ");
        let text = format!("number {number}\nready {ready}\nstopping {stopping}\nbeat_ns {beat_ns}\nstatus {status}\n");
        replace(path, &text)
    }

    /// Reads the record from `path`.
    ///
    /// # Errors
    /// When there is no record, or it is damaged.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = read(path)?;
        Ok(Self {
            number: number(&text, "number")?,
            ready: number(&text, "ready")?,
            stopping: number(&text, "stopping")?,
            beat_ns: number(&text, "beat_ns")?,
            status: field(&text, "status")?.to_owned(),
        })
    }
}

/// Writes a new file, then renames it. A checksum precedes the fields, so that a changed digit does not go unnoticed.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let text = format!("{SUM}{:016x}\n{text}", checksum(text));
    let create = || fs::OpenOptions::new().write(true).create_new(true).open(&beside);
    let mut file = match create() {
        // Left by a process that died halfway; or not a regular file at all.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&beside)?;
            create()?
        }
        other => other?,
    };
    file.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}

/// Reads what `replace` wrote. The first releases wrote no checksum; their records are accepted as they are.
fn read(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let Some(rest) = text.strip_prefix(SUM) else { return Ok(text) };
    match rest.split_once('\n') {
        Some((sum, fields)) if sum == format!("{:016x}", checksum(fields)) => Ok(fields.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the record's checksum is wrong")),
    }
}

/// FNV-1a, 64 bits: protects against damaged records, not against forged ones.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn field<'a>(text: &'a str, key: &str) -> io::Result<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("the record has no `{key}`")))
}

fn number<T: std::str::FromStr>(text: &str, key: &str) -> io::Result<T> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("`{key}` in the record is no number"));
    field(text, key)?.parse().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_and_torn_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("invocation");
        let record =
            Invocation { number: 3, mark: "m".into(), note: "a b".into(), boot: "x".into(), ..Default::default() };
        record.write(&path).unwrap();
        assert_eq!(Invocation::read(&path).unwrap(), record);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(Invocation::read(&path).is_err(), "{length}");
        }
        for at in SUM.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(Invocation::read(&path).is_err(), "{at}");
        }
        let ended = Ended { number: 3, status: 256, ..Default::default() };
        ended.write(&path).unwrap();
        assert_eq!(Ended::read(&path).unwrap(), ended);
    }
}
