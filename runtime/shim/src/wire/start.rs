//! The order to start an invocation.

use super::codec::{Reader, Truncated, Writer};

/// An invocation to start.
///
/// How it grows: a new field is written and read at the very end, after the existing ones, and has a default when it is
/// missing (`!reader.is_at_end() && …`). So a shim of an older release reads what it knows and ignores the rest, and a
/// current one reads what an older supervisor wrote. No field is moved, removed or given another meaning; the bytes of
/// every release stay in `tests/golden/wire`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Number of the invocation, from 1.
    pub number: u32,
    /// Value of `CORE_INSTANCE` in the environment of its tree; no other invocation ever has it.
    pub mark: String,
    /// The program: a path, or a name that is looked up in the PATH of `env`.
    pub program: Vec<u8>,
    /// The arguments; the first one is the name of the program.
    pub args: Vec<Vec<u8>>,
    /// The environment, `NAME=value` each.
    pub env: Vec<Vec<u8>>,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// The user it runs as, and its limits.
    pub identity: Identity,
    /// Names of the held sockets that come with the frame, in the order of their descriptors (3 and up).
    pub sockets: Vec<String>,
    /// Where its output goes.
    pub log: LogPlace,
    /// Files to write into its run folder.
    pub files: Vec<FileToWrite>,
    /// Text from the supervisor, which comes back in `Hello` and is part of the record.
    pub note: String,
    /// Whether it reports its own state, on `NOTIFY_SOCKET`.
    pub notifies: bool,
    /// Whether its first process exits once the daemon it started is up.
    pub is_daemon: bool,
    /// The places that it may write to, where the kernel can refuse the others; empty if it may write everywhere.
    pub writable: Vec<Vec<u8>>,
}

/// A file to write into the run folder before the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileToWrite {
    /// Path, relative to the run folder.
    pub path: Vec<u8>,
    /// Contents of the file.
    pub contents: Vec<u8>,
}

/// The user a service runs as, and its limits.
///
/// It is in the middle of [`Start`], so it must not grow: new fields go to the end of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// User ID, group ID, and supplementary group IDs.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// File mode mask.
    pub umask: Option<u32>,
    /// Limits: number of the resource (as in `setrlimit`), and the limit (`u64::MAX` means none).
    pub limits: Vec<(u32, u64)>,
    /// The nice value, -20 to 19.
    pub nice: Option<i32>,
    /// The OOM score adjustment, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// Where output goes: `<folder>/<prefix>.<out|err>.<segment>.log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The folder; created when the first byte arrives.
    pub folder: Vec<u8>,
    /// `<generation>.<invocation>`.
    pub prefix: String,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
}

impl LogPlace {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.folder);
        writer.bytes(self.prefix.as_bytes());
        writer.u64(self.segment_bytes);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self { folder: reader.bytes()?, prefix: reader.text()?, segment_bytes: reader.u64()? })
    }
}

impl Start {
    pub(super) fn write(&self, writer: &mut Writer) {
        let Self {
            number,
            mark,
            program,
            args,
            env,
            cwd,
            identity,
            sockets,
            log,
            files,
            note,
            notifies,
            is_daemon,
            writable,
        } = self;
        writer.u32(*number);
        writer.bytes(mark.as_bytes());
        writer.bytes(program);
        writer.list(args, |writer, one| writer.bytes(one));
        writer.list(env, |writer, one| writer.bytes(one));
        writer.bytes(cwd);
        writer.option(identity.user.as_ref(), |writer, (user, group, groups)| {
            writer.u32(*user);
            writer.u32(*group);
            writer.list(groups, |writer, one| writer.u32(*one));
        });
        writer.option(identity.umask.as_ref(), |writer, umask| writer.u32(*umask));
        writer.list(&identity.limits, |writer, (resource, limit)| {
            writer.u32(*resource);
            writer.u64(*limit);
        });
        writer.option(identity.nice.as_ref(), |writer, nice| writer.i32(*nice));
        writer.option(identity.oom_score_adj.as_ref(), |writer, adjust| writer.i32(*adjust));
        writer.list(sockets, |writer, name| writer.bytes(name.as_bytes()));
        log.write(writer);
        writer.list(files, |writer, file| {
            writer.bytes(&file.path);
            writer.bytes(&file.contents);
        });
        writer.bytes(note.as_bytes());
        writer.flag(*notifies);
        writer.flag(*is_daemon);
        writer.list(writable, |writer, one| writer.bytes(one));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        Ok(Self {
            number: reader.u32()?,
            mark: reader.text()?,
            program: reader.bytes()?,
            args: reader.list(Reader::bytes)?,
            env: reader.list(Reader::bytes)?,
            cwd: reader.bytes()?,
            identity: Identity {
                user: reader.option(|reader| Ok((reader.u32()?, reader.u32()?, reader.list(Reader::u32)?)))?,
                umask: reader.option(Reader::u32)?,
                limits: reader.list(|reader| Ok((reader.u32()?, reader.u64()?)))?,
                nice: reader.option(Reader::i32)?,
                oom_score_adj: reader.option(Reader::i32)?,
            },
            sockets: reader.list(Reader::text)?,
            log: LogPlace::read(reader)?,
            files: reader.list(|reader| Ok(FileToWrite { path: reader.bytes()?, contents: reader.bytes()? }))?,
            note: reader.text()?,
            notifies: !reader.is_at_end() && reader.flag()?,
            is_daemon: !reader.is_at_end() && reader.flag()?,
            writable: if reader.is_at_end() { Vec::new() } else { reader.list(Reader::bytes)? },
        })
    }
}
