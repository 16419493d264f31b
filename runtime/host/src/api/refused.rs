//! Writes into a release: refused, as its service says in its output, or done where nothing refuses them. A person has to
//! be told, since the program goes on without its data, or loses it with the next release.

use core_manifest::{Diagnostic, Problem};

use super::types::InstanceStatus;
use crate::paths::Paths;
use crate::{logs, releases, writable};

/// How many of an instance's last lines are looked at.
const LINES: usize = 50;
/// What programs say when a file cannot be written.
const WORDS: [&str; 6] =
    ["eacces", "erofs", "permission denied", "read-only file system", "readonly database", "unable to open database"];

/// A problem for each service whose release refused a write. Reads logs, and may block.
pub(super) fn find(paths: &Paths, instances: &[InstanceStatus]) -> Vec<Problem> {
    let can_be_refused = writable::can_be_refused(paths).is_ok();
    let with_releases = instances.iter().filter(|one| one.release.as_ref().is_some_and(|release| !release.is_empty()));
    let of = |instance: &InstanceStatus| {
        let done = if can_be_refused { None } else { written(paths, instance) };
        done.or_else(|| refused(paths, instance))
    };
    with_releases.filter_map(of).collect()
}

/// A file that the service has written into its release, where nothing refuses that.
fn written(paths: &Paths, instance: &InstanceStatus) -> Option<Problem> {
    let path = releases::written(paths, &instance.service, instance.release.as_deref()?)?;
    let message =
        format!("`{}` has written {} into its release, and it is gone with the next one", instance.service, path);
    Some(problem(&instance.service, message, &path))
}

/// A write that was refused, as the service says.
fn refused(paths: &Paths, instance: &InstanceStatus) -> Option<Problem> {
    let invocation = instance.invocation.parse().ok()?;
    let line = logs::last(paths, &invocation, LINES).into_iter().rev().find(|line| is_refusal(line))?;
    let path = path_in(&line, paths).unwrap_or_else(|| "PATH".to_owned());
    let message = format!("`{}` could not write into its release: {}", instance.service, line.trim());
    Some(problem(&instance.service, message, &path))
}

fn problem(service: &str, message: String, path: &str) -> Problem {
    let help = format!(
        "data is never in a release: add {{\"config\": {{\"persist\": [\"{path}\"]}}}} to services/{service}/service.json and \
         `core deploy`, or let it write to .data/{service}"
    );
    Diagnostic::new("refused-write", message).service(service).help(help).problem()
}

fn is_refusal(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

/// The path in a line, relative to the app: after the folder of the release, or the first word in quotes.
fn path_in(line: &str, paths: &Paths) -> Option<String> {
    let releases = paths.releases().display().to_string();
    let in_release = line.split_once(&releases).and_then(|(_, rest)| {
        let path = rest.split(['\'', '"', ' ', '`', ':']).next()?;
        // Below it: the service, the release, and `server` or `app`.
        let path: Vec<&str> = path.split('/').skip(4).collect();
        (!path.is_empty()).then(|| path.join("/"))
    });
    let quoted = || {
        let mut parts = line.split(['\'', '"', '\u{2018}', '\u{2019}']).skip(1);
        parts.next().filter(|path| !path.is_empty() && !path.starts_with('/')).map(str::to_owned)
    };
    in_release.or_else(quoted)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_path_is_found_in_what_programs_say() {
        let root = PathBuf::from("/srv/a");
        let paths = Paths { run: root.join("run"), root, hash: String::new(), moved_from: None, searched: None };
        for (line, path) in [
            (
                "Error: EACCES: permission denied, open '/srv/a/.releases/web/20261127-1-a/server/uploads/x.png'",
                Some("uploads/x.png"),
            ),
            ("touch: cannot touch 'beside': Permission denied", Some("beside")),
            ("SqliteError: attempt to write a readonly database", None),
        ] {
            assert!(is_refusal(line), "{line}");
            assert_eq!(path_in(line, &paths).as_deref(), path, "{line}");
        }
        assert!(!is_refusal("GET /permission 200"));
    }
}
