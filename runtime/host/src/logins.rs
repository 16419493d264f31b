//! The users of a service, whom the edge lets in with their password: a file in `.secrets/`, with hashes.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;

use core_manifest::logins::{self, is_name};

use crate::paths::Paths;
use crate::releases::kept;

/// The cost of a hash, as a power of two: some 50 ms. More would let those who guess keep the edge busy.
const COST: u32 = 10;
/// The longest password, in bytes: bcrypt passes over what is after them.
const LONGEST: usize = 72;

/// Why a user is not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The name is not one of a user.
    #[error("`{0}` is not a name of a user: up to 64 letters, digits and . _ - @ +")]
    Name(String),
    /// The password is none.
    #[error("the password is empty")]
    Empty,
    /// The password is too long.
    #[error("the password is longer than {LONGEST} bytes, the most that bcrypt takes")]
    Long,
    /// The password has characters that no form takes.
    #[error("the password has a control character in it")]
    Control,
    /// The user is not in the file.
    #[error("`{0}` is not a user of this service")]
    Unknown(String),
    /// There are no random numbers.
    #[error("the password cannot be hashed")]
    Hash,
    /// The file cannot be read or written.
    #[error("the file with the users: {0}")]
    File(#[from] io::Error),
}

/// The names of the users of a service, in the order of the file.
///
/// # Errors
/// The error of the file system.
pub fn list(paths: &Paths, service: &str) -> Result<Vec<String>, LoginError> {
    let text = read(paths, service)?;
    Ok(logins::parse(&text).filter_map(Result::ok).map(|(name, _)| name.to_owned()).collect())
}

/// Adds a user, or gives one another password. Returns whether it is a new one.
///
/// # Errors
/// What is wrong with the name, the password or the file.
pub fn add(paths: &Paths, service: &str, user: &str, password: &str) -> Result<bool, LoginError> {
    check_name(user)?;
    if password.is_empty() {
        return Err(LoginError::Empty);
    }
    if password.len() > LONGEST {
        return Err(LoginError::Long);
    }
    if password.contains(char::is_control) {
        return Err(LoginError::Control);
    }
    let hash = bcrypt::non_truncating_hash(password, COST).map_err(|_| LoginError::Hash)?;
    let _alone = alone(paths)?;
    let (text, was_there) = without(&read(paths, service)?, user);
    write(paths, service, &format!("{text}{user}:{hash}"))?;
    Ok(!was_there)
}

/// Whether a user may have this name.
///
/// # Errors
/// That it may not.
pub fn check_name(user: &str) -> Result<(), LoginError> {
    if is_name(user) { Ok(()) } else { Err(LoginError::Name(user.to_owned())) }
}

/// Removes a user.
///
/// # Errors
/// That there is no such user, or the error of the file system.
pub fn remove(paths: &Paths, service: &str, user: &str) -> Result<(), LoginError> {
    let _alone = alone(paths)?;
    let (text, was_there) = without(&read(paths, service)?, user);
    if !was_there {
        return Err(LoginError::Unknown(user.to_owned()));
    }
    Ok(write(paths, service, text.trim_end())?)
}

/// The lines of a file but that of a user, and whether it was there. What else is written there stays.
fn without(text: &str, user: &str) -> (String, bool) {
    let is_theirs = |line: &&str| line.trim().split_once(':').is_some_and(|(name, _)| name == user);
    let rest: String = text.lines().filter(|line| !is_theirs(line)).map(|line| format!("{line}\n")).collect();
    (rest, text.lines().any(|line| is_theirs(&line)))
}

/// Keeps others from writing between what is read and what is written, until it is dropped.
fn alone(paths: &Paths) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(paths.secrets())?;
    let folder = File::open(paths.secrets())?;
    folder.lock()?;
    Ok(folder)
}

fn read(paths: &Paths, service: &str) -> io::Result<String> {
    match crate::files::read_text(&paths.secrets().join(logins::file(service))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

fn write(paths: &Paths, service: &str, text: &str) -> io::Result<()> {
    kept::write(&paths.secrets().join(logins::file(service)), text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn users_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("services")).unwrap();
        let paths = &Paths::look(folder.path()).unwrap();
        let file = paths.secrets().join("web-users");
        assert!(list(paths, "web").unwrap().is_empty());
        assert!(add(paths, "web", "ann", "one").unwrap());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, format!("# people\n{}", fs::read_to_string(&file).unwrap())).unwrap();
        assert!(add(paths, "web", "bob", "two").unwrap());
        assert!(!add(paths, "web", "ann", "three").unwrap(), "only the password is another");
        assert_eq!(list(paths, "web").unwrap(), ["bob", "ann"]);
        let text = fs::read_to_string(&file).unwrap();
        let hash = logins::parse(&text).filter_map(Result::ok).find(|(name, _)| *name == "ann").unwrap().1;
        assert!(bcrypt::verify("three", hash).unwrap() && !bcrypt::verify("one", hash).unwrap());
        remove(paths, "web", "ann").unwrap();
        assert!(matches!(remove(paths, "web", "ann"), Err(LoginError::Unknown(_))));
        assert!(fs::read_to_string(&file).unwrap().starts_with("# people\nbob:"));
        // Whoever comes at the same time is not forgotten.
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || add(paths, "many", &format!("user{number}"), "x").unwrap());
            }
        });
        assert_eq!(list(paths, "many").unwrap().len(), 8);
        for (user, password) in [("a b", "x"), ("", "x"), ("a", ""), ("a", "x\ty"), ("a", &"x".repeat(73))] {
            assert!(add(paths, "web", user, password).is_err());
        }
    }
}
