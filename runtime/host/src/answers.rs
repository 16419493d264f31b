//! How many requests an instance of a release has answered, as it says itself: a file in its run folder with two numbers,
//! all answers and those with a status of 500 or more.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use core_engine::InstanceId;
use core_stack::drivers::ANSWERS;
use nix::libc;

/// More than this is no two numbers, in bytes.
const LONGEST: u64 = 64;

/// The numbers of an instance; `None` if it has not said any. The file is in the hands of the service.
pub(crate) fn read(run: &Path, instance: &InstanceId) -> Option<(u64, u64)> {
    let path = run.join(instance.to_string()).join(ANSWERS);
    // It may be a link or a pipe.
    let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use core_engine::ids::Generation;
    use core_manifest::ServiceName;

    use super::*;

    #[test]
    fn two_numbers_are_read_and_nothing_else() {
        let run = tempfile::tempdir().unwrap();
        let instance = InstanceId::new(ServiceName::made("web~pr-1").unwrap(), 0, Generation(3));
        let folder = run.path().join("web~pr-1-0@3");
        std::fs::create_dir(&folder).unwrap();
        let said = |text: &str| {
            std::fs::write(folder.join(ANSWERS), text).unwrap();
            read(run.path(), &instance)
        };
        assert_eq!(read(run.path(), &instance), None);
        assert_eq!(said("00000012 00000003\n"), Some((12, 3)));
        for bad in ["", "12", "a b", &"1".repeat(100)] {
            assert_eq!(said(bad), None, "{bad}");
        }
        std::fs::remove_file(folder.join(ANSWERS)).unwrap();
        symlink("/proc/uptime", folder.join(ANSWERS)).unwrap();
        assert_eq!(read(run.path(), &instance), None);
    }
}
