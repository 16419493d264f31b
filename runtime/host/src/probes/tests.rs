//! Probes that cannot be sent for lack of a descriptor.

use std::process::Command;

use core_engine::ids::Generation;
use core_manifest::ServiceName;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// Marks the test's own process: the limit applies to all threads of a process.
const ALONE: &str = "CORE_TEST_WITHOUT_DESCRIPTORS";

#[test]
fn without_descriptors_nothing_is_asked() {
    if std::env::var_os(ALONE).is_none() {
        let name = "probes::tests::without_descriptors_nothing_is_asked";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::look(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (fill, here) = (InstanceFill::default(), Template::literal("/"));
    let answer = || HttpAnswer { headers: BTreeMap::new(), status: 200, body_contains: None };
    let literal = |text: &str| Template::literal(text);
    let checks = [
        Check::Tcp { address: literal("127.0.0.1:1") },
        Check::Tcp { address: literal("localhost:1") },
        Check::Http { address: literal("127.0.0.1:1"), path: literal("/"), answer: answer() },
        Check::HttpUnix { socket: literal("/nowhere"), path: literal("/"), answer: answer() },
        Check::Exec { command: literal("true"), working_dir: None },
    ];
    let put_all = || -> Vec<Result<(), NotGood>> {
        let put_one = |check| runtime.block_on(put(check, &here, &fill, None, Duration::from_secs(60)));
        checks.iter().map(put_one).collect()
    };
    let before = put_all();
    for result in &before[..4] {
        assert!(matches!(result, Err(NotGood::Bad(_))), "{result:?}");
    }
    assert_eq!(before[4], Ok(()));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let unasked = NotGood::Unasked("too many open files".into());
    let service = ServiceName::new("web").unwrap();
    let invocation = InvocationId { instance: InstanceId::new(service, 0, Generation(1)), number: 1 };
    let (all, line) = (put_all(), Tail::default().look_for("ready", &paths, &invocation));
    let said = notify::look(&paths, &invocation, ProbeKind::Readiness, Duration::from_secs(1));
    let (listening, established) = (Listening::try_read().is_err(), net::established(&[1]).is_err());
    // A failing test needs to open files.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert_eq!(all, vec![Err(unasked.clone()); checks.len()]);
    assert_eq!(line, Err(unasked.clone()));
    assert_eq!(said, Err(unasked));
    assert!(listening && established, "nothing could be looked at, and nothing was said to be there");
}
