//! The edge's pointers: which instances get the requests of a service. Each is a file that Caddy reads at every
//! request; it is written beside and renamed, so that it is never missing or incomplete. Caddy itself is asked whether
//! the pointers lead where they should.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_engine::action::{RouteTable, Target, TrialRoute, Verification};
use core_engine::event::Reach;
use core_engine::trial::{PREVIEWS, Trial};
use core_manifest::ServiceName;
use tokio::net::UnixStream;

use crate::environment::Environment;
use crate::paths::Paths;
use crate::private;
use crate::probes::{self, NotGood};

/// The contents of a pointer while no instance takes requests: an address that refuses connections at once.
const NOBODY: &str = "127.0.0.1:0";

/// The pointer `number` to these instances: the one at `number` mod n.
fn address(targets: &[Target], number: u32) -> String {
    match targets.len() {
        0 => NOBODY.to_owned(),
        count => format!("127.0.0.1:{}", targets[number as usize % count].port),
    }
}

/// Writes the pointers of a service: pointer i names ready instance i mod n. `keys` are what lets people see a preview, if
/// that is known by now; else what was written before stays.
///
/// # Errors
/// The error of the file system. Pointers that were written before it stay.
pub fn write(edge: &Path, table: &RouteTable, keys: Option<&Keys>) -> io::Result<()> {
    let folder = edge.join(table.service.parent().as_str());
    fs::create_dir_all(&folder)?;
    if table.service.is_trial() && table.trial.is_none() {
        // Nothing is known of it: whatever it was, it is over.
        return close(&folder, |label| table.service.of_trial().is_some_and(|(_, name)| name == label));
    }
    if let Some(trial) = &table.trial {
        return match trial.trial {
            Trial::Canary { percent } => write_canary(&folder, table, trial, percent),
            Trial::Preview { set, is_public, .. } => {
                let public = Keys { key: core_caddy::PUBLIC.to_owned(), ..keys.cloned().unwrap_or_default() };
                write_preview(&folder, table, trial, set, if is_public { Some(&public) } else { keys })
            }
        };
    }
    // The edge reads them for each request, whether anything is tried or not. The share comes last.
    if table.may_try && !folder.join(core_caddy::SHARE).exists() {
        let sets = (0..PREVIEWS).flat_map(|set| PREVIEW_FILES.map(|what| core_caddy::preview_file(set, what)));
        for name in sets.chain([core_caddy::CANARY.to_owned(), core_caddy::SHARE.to_owned()]) {
            replace(&folder, &name, "")?;
        }
    }
    let name = core_caddy::FORMER;
    match &table.former {
        // Where it is comes before its name: nobody is sent there before.
        Some(former) => {
            let named = fs::read_to_string(folder.join(name)).unwrap_or_default();
            if named != former.release {
                replace(&folder, name, "")?;
            }
            for number in 0..core_caddy::FORMER_POINTERS {
                replace(&folder, &core_caddy::former_pointer(number), &address(&former.targets, number))?;
            }
            replace(&folder, name, &former.release)?;
        }
        // Requests that have read the name already find the address; the instance drains when this is written.
        None => replace(&folder, name, "")?,
    }
    // A file that the next release guards is not served once that gets requests.
    let (name, release) = (core_caddy::PUBLIC_OF, table.release.as_deref().unwrap_or_default());
    if fs::read_to_string(folder.join(name)).is_ok_and(|named| named != release) {
        replace(&folder, name, "")?;
    }
    for number in 0..table.pointers {
        replace(&folder, &core_caddy::pointer(number), &address(&table.targets, number))?;
    }
    replace(&folder, name, release)
}

/// The files of each set of a preview.
const PREVIEW_FILES: [&str; 4] = ["name", "key", "pass", "addr"];
/// How many numbers clients have: three hexadecimal digits.
const NUMBERS: u32 = 0x1000;

/// The pointers of a canary. It gets nothing while no instance of it is ready: those clients are served by the live one.
fn write_canary(folder: &Path, table: &RouteTable, trial: &TrialRoute, percent: u32) -> io::Result<()> {
    if !trial.is_open || table.targets.is_empty() {
        // Requests that have read the share already find the address; the instance drains when this is written.
        replace(folder, core_caddy::SHARE, "")?;
        return replace(folder, core_caddy::CANARY, "");
    }
    for number in 0..core_caddy::CANARY_POINTERS {
        replace(folder, &core_caddy::canary_pointer(number), &address(&table.targets, number))?;
    }
    replace(folder, core_caddy::CANARY, &trial.release)?;
    replace(folder, core_caddy::SHARE, &format!("{:03x}", (NUMBERS * percent).div_ceil(100)))
}

/// What lets people see a preview. Nobody else of this host may read it.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The user as whom the edge runs, if that is another one.
    pub reader: Option<u32>,
    /// What they send with their password.
    pub key: String,
    /// What their cookie has after that: of this preview only.
    pub pass: String,
}

/// Closes the sets of trials of these names.
fn close(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
    if is_meant(core_engine::trial::CANARY) {
        for name in [core_caddy::SHARE, core_caddy::CANARY] {
            replace(folder, name, "")?;
        }
    }
    for set in 0..PREVIEWS {
        let label = fs::read_to_string(folder.join(core_caddy::preview_file(set, "name"))).unwrap_or_default();
        if !label.is_empty() && is_meant(&label) {
            for what in ["name", "key", "pass"] {
                replace(folder, &core_caddy::preview_file(set, what), "")?;
            }
        }
    }
    Ok(())
}

/// Closes the sets of trials that there are not: what is left of one, a lost state for example.
pub(crate) fn close_unknown(edge: &Path, is_known: impl Fn(&ServiceName) -> bool) {
    for entry in fs::read_dir(edge).into_iter().flatten().flatten() {
        let service = entry.file_name().to_str().and_then(|name| ServiceName::made(name).ok());
        if let Some(service) = service.filter(|_| entry.path().join(core_caddy::CANARY).exists()) {
            let _ = close(&entry.path(), |label| !service.trial(label).is_ok_and(|trial| is_known(&trial)));
        }
    }
}

/// The pointer of a preview, its name, and what lets people see it.
fn write_preview(
    folder: &Path,
    table: &RouteTable,
    trial: &TrialRoute,
    set: u32,
    keys: Option<&Keys>,
) -> io::Result<()> {
    let file = |what| core_caddy::preview_file(set, what);
    let label = table.service.of_trial().map_or_else(String::new, |(_, label)| label.to_owned());
    let label = if trial.is_open { label } else { String::new() };
    // Under another name than before, nobody is sent there before the rest is right.
    if fs::read_to_string(folder.join(file("name"))).unwrap_or_default() != label {
        replace(folder, &file("name"), "")?;
    }
    if !trial.is_open {
        return ["key", "pass"].iter().try_for_each(|what| replace(folder, &file(what), ""));
    }
    let to = if trial.is_asleep { format!("unix/{}", bell(folder).display()) } else { address(&table.targets, 0) };
    replace(folder, &file("addr"), &to)?;
    for (what, text) in keys.iter().flat_map(|keys| [("key", &keys.key), ("pass", &keys.pass)]) {
        private::replace(folder, &file(what), text.as_bytes(), keys.and_then(|keys| keys.reader))?;
    }
    replace(folder, &file("name"), &label)
}

/// The socket that requests for previews go to that sleep.
fn bell(folder: &Path) -> PathBuf {
    folder.parent().unwrap_or(folder).join(BELL)
}

/// Its name, in the folder of the pointers.
pub(crate) const BELL: &str = ".bell";

/// Puts a text in the place of a file, unless it has that already.
pub(crate) fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|have| have == text.as_bytes()) {
        return Ok(());
    }
    let beside = folder.join(format!(".{name}.new"));
    fs::write(&beside, text)?;
    fs::rename(&beside, &path)
}

/// How long the edge may take to answer for one pointer: it may be overloaded.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the edge for each target through the pointer that names it. The answer must match, and come from the target's
/// own port.
pub async fn verify(paths: &Paths, environment: &Environment, asked: &Verification) -> Reach {
    let socket = paths.run.join(asked.edge.to_string()).join(core_caddy::VERIFY);
    if UnixStream::connect(&socket).await.is_err() {
        return Reach::Silent;
    }
    for (number, Target { instance, port }) in &asked.targets {
        let fill = environment.fill(paths, instance, &[].into());
        let path = format!("{}{}", core_caddy::verify_path(asked.service.as_str(), *number), asked.path.fill(&fill));
        let answered = tokio::time::timeout(PATIENCE, probes::get_from(&socket, &path, &asked.answer, &fill)).await;
        let late = |_| Err(NotGood::Bad(format!("no answer within {} s", PATIENCE.as_secs())));
        let headers = match answered.unwrap_or_else(late) {
            Ok(headers) => headers,
            Err(not_good) => return Reach::Astray(format!("pointer {number}: {not_good}")),
        };
        let reached = headers.get(core_caddy::REACHED).and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        if reached != format!("127.0.0.1:{port}") {
            let message = format!("pointer {number} leads to {reached}, and {instance} listens on port {port}");
            return Reach::Astray(message);
        }
    }
    Reach::Reached
}

/// Removes the pointers of services that no longer exist.
pub fn forget(edge: &Path, is_known: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(edge).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name().to_str().is_some_and(|name| !is_known(name)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use core_engine::InstanceId;
    use core_engine::action::{Former, Target};
    use core_engine::ids::Generation;

    #[test]
    fn every_pointer_names_a_ready_instance() {
        let folder = tempfile::tempdir().unwrap();
        let service = ServiceName::new("web").unwrap();
        let target =
            |replica, port| Target { instance: InstanceId::new(service.clone(), replica, Generation(1)), port };
        let mut table = RouteTable {
            service: service.clone(),
            version: 1,
            pointers: 16,
            targets: vec![target(0, 20000), target(1, 20001), target(2, 20002)],
            former: None,
            trial: None,
            may_try: false,
            maintenance: None,
            release: None,
        };
        let write = |edge: &Path, table: &RouteTable| write(edge, table, None);
        let read = || -> Vec<String> {
            (0..16).map(|n| fs::read_to_string(folder.path().join(format!("web/{n}.addr"))).unwrap()).collect()
        };
        write(folder.path(), &table).unwrap();
        assert!(!folder.path().join("web/canary").exists(), "nobody asks for it");
        table.may_try = true;
        write(folder.path(), &table).unwrap();
        for name in ["canary", "canary.share", "preview.7.name", "preview.7.pass"] {
            assert_eq!(fs::read_to_string(folder.path().join("web").join(name)).unwrap(), "");
        }
        assert_eq!(read()[..4], ["127.0.0.1:20000", "127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20000"]);
        table.targets = vec![target(1, 20001)];
        write(folder.path(), &table).unwrap();
        assert!(read().iter().all(|address| address == "127.0.0.1:20001"));
        table.targets = Vec::new();
        write(folder.path(), &table).unwrap();
        assert!(read().iter().all(|address| address == NOBODY));
        let former = |port| Former { release: "2026-a".into(), targets: vec![target(0, port)] };
        let told = |name: &str| fs::read_to_string(folder.path().join("web").join(name)).unwrap();
        for name in ["former", "public"] {
            assert_eq!(told(name), "", "the edge finds it in any case");
        }
        table.release = Some("2026-b".into());
        write(folder.path(), &table).unwrap();
        assert_eq!(told("public"), "2026-b");
        table.release = None;
        write(folder.path(), &table).unwrap();
        assert_eq!(told("public"), "", "two releases answer for their own files");
        table.former = Some(former(20009));
        write(folder.path(), &table).unwrap();
        assert_eq!((told("former").as_str(), told("former.3.addr").as_str()), ("2026-a", "127.0.0.1:20009"));
        table.former = None;
        write(folder.path(), &table).unwrap();
        assert_eq!(told("former"), "");
        forget(folder.path(), |_| false);
        assert!(!folder.path().join("web").exists());
    }

    #[test]
    fn a_trial_is_named_once_it_can_be_reached() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str| fs::read_to_string(folder.path().join("web").join(name)).unwrap();
        let table = |service: &str, trial, targets: &[u16], is_open, is_asleep| {
            let service = ServiceName::made(service).unwrap();
            let targets = targets
                .iter()
                .map(|port| Target { instance: InstanceId::new(service.clone(), 0, Generation(1)), port: *port });
            let targets = targets.collect();
            let trial = Some(TrialRoute { trial, release: "2026-b".into(), is_open, is_asleep });
            RouteTable {
                service,
                version: 1,
                pointers: 16,
                targets,
                former: None,
                trial,
                may_try: false,
                maintenance: None,
                release: None,
            }
        };
        let write = |table: &RouteTable| {
            let keys = Keys { key: "k3y".into(), pass: "p4ss".into(), reader: None };
            write(folder.path(), table, Some(&keys)).unwrap();
        };
        let canary =
            |targets: &[u16], is_open| table("web~canary", Trial::Canary { percent: 5 }, targets, is_open, false);
        write(&canary(&[20001], true));
        assert_eq!(
            [told("canary"), told("canary.share"), told("canary.15.addr")],
            ["2026-b", "0cd", "127.0.0.1:20001"]
        );
        write(&canary(&[], true));
        assert_eq!([told("canary"), told("canary.share")], ["", ""], "the live release serves all");
        write(&canary(&[20001], false));
        assert_eq!(told("canary.share"), "");
        let preview = |targets: &[u16], is_open, is_asleep| {
            let trial = Trial::Preview { set: 3, is_public: false, at: 0 };
            table("web~pr-1", trial, targets, is_open, is_asleep)
        };
        write(&preview(&[20002], true, false));
        let all = || ["name", "key", "pass", "addr"].map(|what| told(&format!("preview.3.{what}")));
        assert_eq!(all(), ["pr-1", "k3y", "p4ss", "127.0.0.1:20002"]);
        for what in ["key", "pass"] {
            let meta = fs::metadata(folder.path().join(format!("web/preview.3.{what}"))).unwrap();
            assert_eq!(meta.mode() & 0o777, 0o600, "whoever reads it may see the preview");
        }
        write(&preview(&[], true, true));
        assert_eq!(all()[3], format!("unix/{}/.bell", folder.path().display()));
        write(&preview(&[], false, false));
        assert_eq!(all()[..3], ["", "", ""]);
        // What nobody knows any more is closed, and nothing else is touched.
        write(&preview(&[20002], true, false));
        write(&canary(&[20001], true));
        fs::write(folder.path().join("web/0.addr"), "127.0.0.1:1").unwrap();
        write(&RouteTable { trial: None, ..canary(&[20009], true) });
        assert_eq!([told("canary.share"), told("0.addr"), all()[0].clone()], ["", "127.0.0.1:1", "pr-1"]);
        close_unknown(folder.path(), |name| name.as_str() == "web~pr-1");
        assert_eq!(all()[0], "pr-1");
        close_unknown(folder.path(), |_| false);
        assert_eq!(all()[..3], ["", "", ""]);
    }
}
