//! Why a probe failed: because of the service, or because core lacks something.

use std::fmt;
use std::fs::File;
use std::io;

use core_engine::event::Answer;
use nix::libc;

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGood {
    /// What was wrong with the answer.
    Bad(String),
    /// The probe could not be sent: what core lacks.
    Unasked(String),
}

impl fmt::Display for NotGood {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(why) => formatter.write_str(why),
            Self::Unasked(what) => write!(formatter, "could not be asked: {what}"),
        }
    }
}

impl From<String> for NotGood {
    fn from(why: String) -> Self {
        Self::Bad(why)
    }
}

impl NotGood {
    /// From an error of the operating system; `in_words` makes the message if the service is the reason.
    pub(super) fn of(error: &io::Error, in_words: impl FnOnce(&str) -> String) -> Self {
        let plain = plain(error);
        if is_lack(error) { Self::Unasked(plain) } else { Self::Bad(in_words(&plain)) }
    }
}

/// The answer in the form that the engine wants.
pub(super) fn told(result: Result<(), NotGood>) -> Answer {
    match result {
        Ok(()) => Answer::Good,
        Err(NotGood::Bad(why)) => Answer::Bad(why),
        Err(NotGood::Unasked(what)) => Answer::Unasked(what),
    }
}

/// Whether an error means that core lacks something: descriptors, memory, processes, local ports.
pub(super) fn is_lack(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::EAGAIN | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL)
    )
}

/// Checks that core has a descriptor to spare; otherwise a lookup without a result proves nothing.
pub(super) fn lack_now() -> Result<(), NotGood> {
    match File::open("/proc/self/stat") {
        Err(error) if is_lack(&error) => Err(NotGood::Unasked(plain(&error))),
        _ => Ok(()),
    }
}

/// The text of an error of the operating system, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_not_its_fault() {
        let of = |errno| NotGood::of(&io::Error::from_raw_os_error(errno), |why| format!("127.0.0.1:1: {why}"));
        assert_eq!(of(libc::ECONNREFUSED), NotGood::Bad("127.0.0.1:1: connection refused".into()));
        for errno in [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL] {
            assert!(matches!(of(errno), NotGood::Unasked(_)), "{errno}");
        }
        assert_eq!(of(libc::EMFILE).to_string(), "could not be asked: too many open files");
    }
}
