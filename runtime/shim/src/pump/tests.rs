use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

fn fifo(folder: &std::path::Path) -> (OwnedFd, File) {
    let path = folder.join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let read = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
    let write = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (read.into(), write)
}

#[test]
fn segments_are_cut_and_joined_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let logs = folder.path().join("logs/web/web-0");
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(Target { folder: logs.clone(), prefix: "7.1".into(), segment_bytes: 1000 });
    assert_eq!(pump.pump(), Moved::Nothing);
    assert!(!logs.exists(), "nothing is made before the first byte");
    let mut all = Vec::new();
    for round in 0..50_u32 {
        let line = format!("line {round} {}\n", "x".repeat(round as usize * 3));
        write.write_all(line.as_bytes()).unwrap();
        all.extend_from_slice(line.as_bytes());
        pump.drain();
    }
    assert_eq!(pump.drain(), Moved::Nothing);
    let mut joined = Vec::new();
    for number in 0.. {
        let Ok(bytes) = fs::read(logs.join(format!("7.1.out.{number}.log"))) else { break };
        assert!(bytes.len() <= 1000);
        let index = fs::read(logs.join(format!("7.1.out.{number}.idx"))).unwrap();
        assert_eq!(index.len() % INDEX_RECORD, 0);
        assert_eq!(index[..8], [0; 8], "a segment's index begins at its beginning");
        joined.extend(bytes);
    }
    assert_eq!(joined, all);
}

#[test]
fn whoever_fills_his_pipe_gets_a_wider_one_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 1 << 30 });
    let size = |pump: &Pump| rustix::pipe::fcntl_getpipe_size(pump.fd()).unwrap();
    write.write_all(&[b'x'; 1000]).unwrap();
    pump.flow();
    assert_eq!(size(&pump), PIPE);
    write.write_all(&vec![b'x'; PIPE]).unwrap();
    pump.flow();
    assert_eq!(size(&pump), CHUNK);
    pump.rest();
    assert_eq!(size(&pump), PIPE);
}

#[test]
fn what_cannot_be_written_is_kept_then_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    // A file is in the place of the folder.
    let blocked = folder.path().join("logs");
    fs::write(&blocked, "").unwrap();
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(Target { folder: blocked.clone(), prefix: "1.1".into(), segment_bytes: 1000 });
    write.write_all(b"kept\n").unwrap();
    assert_eq!(pump.pump(), Moved::Stuck);
    fs::remove_file(&blocked).unwrap();
    assert_eq!(pump.pump(), Moved::Some(5));
    assert_eq!(fs::read(blocked.join("1.1.out.0.log")).unwrap(), b"kept\n");
    assert_eq!(pump.dropped().0, 0);
}

/// The contents of all segments, in the order of their numbers.
fn joined(logs: &std::path::Path, prefix: &str) -> Vec<u8> {
    let target = Target { folder: logs.to_owned(), prefix: prefix.into(), segment_bytes: 1 };
    let mut numbers: Vec<u32> = target.numbers(Stream::Out).collect();
    numbers.sort_unstable();
    numbers.iter().flat_map(|number| fs::read(target.path(Stream::Out, *number, "log")).unwrap()).collect()
}

#[test]
fn two_pumps_with_one_target_write_into_segments_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut pumps: Vec<(Pump, File)> = ["one", "two"]
        .iter()
        .map(|name| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            let (read, write) = fifo(&place);
            let mut pump = Pump::new(read, Stream::Out);
            // Both are aimed before either of them has created a file.
            pump.aim(Target { folder: logs.clone(), prefix: "7.1".into(), segment_bytes: 100 });
            (pump, write)
        })
        .collect();
    let mut all: Vec<String> = Vec::new();
    for round in 0..200_u32 {
        let (pump, write) = &mut pumps[usize::from(round % 3 == 1)];
        let line = format!("line {round}");
        writeln!(write, "{line}").unwrap();
        all.push(line);
        pump.drain();
    }
    let written = joined(&logs, "7.1");
    assert_eq!(written.len(), all.iter().map(|line| line.len() + 1).sum::<usize>());
    // Segments are cut at any byte, and those of the two pumps alternate, so the bytes are counted.
    let count = |bytes: &[u8]| {
        let mut counts = [0_usize; 256];
        for byte in bytes {
            counts[usize::from(*byte)] += 1;
        }
        counts
    };
    assert_eq!(count(&written), count((all.join("\n") + "\n").as_bytes()));
}

#[test]
fn who_follows_goes_on_behind_what_was_taken_away_too() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let target = Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 10 };
    fs::create_dir(&target.folder).unwrap();
    // Segments 0 to 2 were deleted because of their age.
    fs::write(target.path(Stream::Out, 3, "log"), "before\n").unwrap();
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(target.clone());
    write.write_all(b"behind\n").unwrap();
    pump.drain();
    assert_eq!(joined(&target.folder, "1.1"), b"before\nbehind\n");
}

#[test]
fn where_nothing_can_be_spliced_it_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let logs = folder.path().join("logs");
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(Target { folder: logs.clone(), prefix: "1.1".into(), segment_bytes: 1000 });
    pump.copies = true;
    let mut all = Vec::new();
    for round in 0..300_u32 {
        let line = format!("line {round}\n");
        write.write_all(line.as_bytes()).unwrap();
        all.extend_from_slice(line.as_bytes());
        pump.flow();
    }
    assert_eq!(pump.drain(), Moved::Nothing);
    assert_eq!(joined(&logs, "1.1"), all);
}

/// A file that cannot be written to, as on a full disk.
fn full_segment(target: &Target, number: u32) -> Segment {
    let mut segment =
        Segment::make(&target.path(Stream::Out, number, "log"), &target.path(Stream::Out, number, "idx")).unwrap();
    segment.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    segment
}

#[test]
fn what_was_read_and_not_written_comes_first_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let target = Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 5 };
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(target.clone());
    pump.copies = true;
    pump.segment = Some(full_segment(&target, 0));
    pump.target.segment_bytes = 1000;
    write.write_all(b"first\n").unwrap();
    assert_eq!(pump.pump(), Moved::Stuck);
    assert!(pump.is_stuck());
    // There is room again, in smaller segments, so the kept data is written in parts.
    pump.segment = None;
    pump.limit(4);
    write.write_all(b"second\n").unwrap();
    assert_eq!(pump.pump(), Moved::Some(4));
    assert!(pump.is_stuck(), "what is held is not in the pipe, so no poll would tell of it");
    assert_eq!(pump.drain(), Moved::Nothing);
    assert!(!pump.is_stuck());
    assert_eq!(joined(&target.folder, "1.1"), b"first\nsecond\n");
    assert_eq!(pump.dropped().0, 0);
}

#[test]
fn what_is_held_for_too_long_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let target = Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 1000 };
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(target.clone());
    pump.copies = true;
    pump.segment = Some(full_segment(&target, 0));
    write.write_all(b"held\n").unwrap();
    assert_eq!(pump.pump(), Moved::Stuck);
    write.write_all(b"waits\n").unwrap();
    pump.stuck_since = Some(sys::monotonic_ns().saturating_sub(PATIENCE_NS));
    pump.segment = Some(full_segment(&target, 1));
    assert_eq!(pump.pump(), Moved::Stuck);
    assert_eq!(pump.dropped(), (11, nix::libc::ENOSPC));
}

/// While a disk is full, writing is tried ten times a second; that must not leave files.
#[test]
fn attempts_that_fail_leave_one_segment_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let (read, mut write) = fifo(folder.path());
    let target = Target { folder: folder.path().join("logs"), prefix: "1.1".into(), segment_bytes: 1000 };
    let mut pump = Pump::new(read, Stream::Out);
    pump.aim(target.clone());
    write.write_all(b"kept\n").unwrap();
    let mut segment = Segment::make(&target.path(Stream::Out, 0, "log"), &target.path(Stream::Out, 0, "idx")).unwrap();
    // Opened read-only: the file exists, but cannot be written to.
    segment.file = File::open(target.path(Stream::Out, 0, "log")).unwrap();
    pump.segment = Some(segment);
    for _ in 0..5 {
        assert_eq!(pump.pump(), Moved::Stuck);
    }
    assert_eq!(target.numbers(Stream::Out).count(), 1);
    assert_eq!(pump.number, 0);
}
