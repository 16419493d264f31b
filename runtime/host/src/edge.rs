//! The edge's pointers: which instances get the requests of a service. Each is a file that Caddy reads at every
//! request; it is written beside and renamed, so that it is never missing or incomplete. Caddy itself is asked whether
//! the pointers lead where they should.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use core_engine::action::{RouteTable, Target, Verification};
use core_engine::event::Reach;
use tokio::net::UnixStream;

use crate::environment::Environment;
use crate::paths::Paths;
use crate::probes::{self, NotGood};

/// The contents of a pointer while no instance takes requests: an address that refuses connections at once.
const NOBODY: &str = "127.0.0.1:0";

/// Writes the pointers of a service: pointer i names ready instance i mod n.
///
/// # Errors
/// The error of the file system. Pointers that were written before it stay.
pub fn write(edge: &Path, table: &RouteTable) -> io::Result<()> {
    let folder = edge.join(table.service.as_str());
    fs::create_dir_all(&folder)?;
    let address = |targets: &[Target], number: u32| match targets.len() {
        0 => NOBODY.to_owned(),
        count => format!("127.0.0.1:{}", targets[number as usize % count].port),
    };
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
    for number in 0..table.pointers {
        replace(&folder, &format!("{number}.addr"), &address(&table.targets, number))?;
    }
    Ok(())
}

/// Puts a text in the place of a file, unless it has that already.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
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
        if entry.file_name().to_str().is_some_and(|name| !is_known(name)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use core_engine::InstanceId;
    use core_engine::action::{Former, Target};
    use core_engine::ids::Generation;
    use core_manifest::ServiceName;

    use super::*;

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
        };
        let read = || -> Vec<String> {
            (0..16).map(|n| fs::read_to_string(folder.path().join(format!("web/{n}.addr"))).unwrap()).collect()
        };
        write(folder.path(), &table).unwrap();
        assert_eq!(read()[..4], ["127.0.0.1:20000", "127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20000"]);
        table.targets = vec![target(1, 20001)];
        write(folder.path(), &table).unwrap();
        assert!(read().iter().all(|address| address == "127.0.0.1:20001"));
        table.targets = Vec::new();
        write(folder.path(), &table).unwrap();
        assert!(read().iter().all(|address| address == NOBODY));
        let former = |port| Former { release: "2026-a".into(), targets: vec![target(0, port)] };
        let told = |name: &str| fs::read_to_string(folder.path().join("web").join(name)).unwrap();
        assert_eq!(told("former"), "", "the edge finds it in any case");
        table.former = Some(former(20009));
        write(folder.path(), &table).unwrap();
        assert_eq!((told("former").as_str(), told("former.3.addr").as_str()), ("2026-a", "127.0.0.1:20009"));
        table.former = None;
        write(folder.path(), &table).unwrap();
        assert_eq!(told("former"), "");
        forget(folder.path(), |_| false);
        assert!(!folder.path().join("web").exists());
    }
}
