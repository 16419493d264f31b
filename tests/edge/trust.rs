//! `core trust`: the stores of the system and of browsers, with their real programs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::trials::{Test, tests};
use crate::common::{CORE, Said, Stack, checkout, put_program};
use crate::tls::internal;

pub(crate) const TESTS: &[Test] = tests![browsers_trust_the_root_until_it_is_removed];
pub(crate) const OF_ROOT: &[Test] = tests![the_system_trusts_the_root_until_it_is_removed];

/// The program that changes databases of browsers: from PATH, or of Debian's package, which is unpacked below `.dep/`.
fn certutil() -> PathBuf {
    let on_path = env::var("PATH").unwrap_or_default();
    if let Some(found) = on_path.split(':').map(|folder| Path::new(folder).join("certutil")).find(|path| path.is_file())
    {
        return found;
    }
    let folder = checkout().join(".dep/nss-for-tests");
    let program = folder.join("certutil");
    if !program.exists() {
        fs::create_dir_all(&folder).expect("a folder");
        let script = "apt-get download libnss3-tools libnss3 libnspr4 && for one in *.deb; do dpkg -x $one .; done";
        let output = Command::new("sh").args(["-c", script]).current_dir(&folder).output().expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let libraries = format!("LD_LIBRARY_PATH=$(echo {0}/usr/lib/*-linux-gnu)", folder.display());
        let start = format!("#!/bin/sh\n{libraries} exec {}/usr/bin/certutil \"$@\"\n", folder.display());
        put_program(&program, &start);
    }
    program
}

/// `core trust` of a stack. As root in a view of the file system of its own, so that this machine's store is left as it is; for
/// others that is not theirs to write.
struct Apart {
    stack: PathBuf,
    store: tempfile::TempDir,
    home: tempfile::TempDir,
}

impl Apart {
    fn new(stack: &Stack) -> Self {
        let [store, home] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let mut make = Command::new("sh");
        make.args(["-c", "mkdir local && cp -a /etc/ssl/certs certs"]).current_dir(store.path());
        assert!(make.status().expect("a shell").success());
        Self { stack: stack.root.clone(), store, home }
    }

    fn trust(&self, words: &str, path: &str) -> Said {
        let store = self.store.path().display();
        let mount = format!(
            "mkdir -p /usr/local/share/ca-certificates && mount --bind {store}/local /usr/local/share/ca-certificates && \
             mount --bind {store}/certs /etc/ssl/certs && "
        );
        let is_root = nix::unistd::geteuid().is_root();
        let mount = if is_root { mount.as_str() } else { "" };
        let script = format!("{mount}PATH={path} exec {CORE} trust {words}");
        let mut command = Command::new(if is_root { "unshare" } else { "env" });
        command.args(is_root.then_some("--mount")).args(["sh", "-c", &script]).current_dir(&self.stack);
        command.env("HOME", self.home.path()).env_remove("CORE_ROOT");
        Said::of(command.output().expect("it runs"))
    }
}

fn browsers_trust_the_root_until_it_is_removed() {
    let (edge, _) = internal();
    let (certutil, apart) = (certutil(), Apart::new(&edge.stack));
    let databases = [".pki/nssdb", ".mozilla/firefox/abc.default"].map(|folder| apart.home.path().join(folder));
    let ask = |words: &[&str], database: &Path| {
        let database = format!("sql:{}", database.display());
        Said::of(Command::new(&certutil).args(words).args(["-d", &database]).output().expect("certutil runs"))
    };
    for database in &databases {
        fs::create_dir_all(database).expect("a folder");
        assert_eq!(ask(&["-N", "--empty-password"], database).code, 0);
    }
    // Without the program it is said what to do.
    let (said, missing) = (apart.trust("--remove", "/nowhere"), "certutil is not on PATH");
    assert!(said.code == 1 && said.out.matches(missing).count() == 2 && said.out.contains("libnss3-tools"), "{said:?}");
    let path = format!("{}:/usr/bin:/bin", certutil.parent().expect("its folder").display());
    let told = |words: &str, say: &str| {
        let said = apart.trust(words, &path);
        for database in &databases {
            let line = format!("✓ a browser of this user ({}) {say}", database.display());
            assert!(said.out.contains(&line), "{said:?}");
        }
    };
    let name = format!("core-{}", edge.stack.hash());
    let has = |database: &Path| ask(&["-V", "-u", "L", "-n", &name], database).code == 0;
    told("", "trusts it now");
    assert!(databases.iter().all(|database| has(database)));
    told("", "trusts it already");
    // That of another CA gives way.
    let other = rcgen::generate_simple_self_signed(["x.test".to_owned()]).expect("a certificate");
    edge.stack.write("other.pem", &other.cert.pem());
    let file = edge.stack.root.join("other.pem").display().to_string();
    for database in &databases {
        assert_eq!(ask(&["-D", "-n", &name], database).code, 0);
        assert_eq!(ask(&["-A", "-n", &name, "-t", "C,,", "-i", &file], database).code, 0);
    }
    told("", "trusts it now");
    let listed = ask(&["-L", "-n", &name], &databases[0]);
    assert!(listed.out.contains("Caddy Local Authority"), "{listed:?}");
    told("--remove", "trusts it no longer");
    assert!(!databases.iter().any(|database| has(database)));
    told("--remove", "does not have it");
}

fn the_system_trusts_the_root_until_it_is_removed() {
    let (edge, _) = internal();
    let apart = Apart::new(&edge.stack);
    let own = fs::read_to_string(edge.stack.root.join(".data/caddy/pki/authorities/local/root.crt")).expect("its root");
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with("---")).collect::<String>();
    let has = || {
        let bundle = fs::read_to_string(apart.store.path().join("certs/ca-certificates.crt")).expect("the bundle");
        body(&bundle).contains(&body(&own))
    };
    let path = "/usr/bin:/bin";
    assert!(!has());
    for say in ["trusts it now", "trusts it already"] {
        let said = apart.trust("", path);
        assert!(said.code == 0 && said.out.contains(say) && said.out.contains("SHA-256"), "{said:?}");
        assert!(has());
    }
    for say in ["trusts it no longer", "does not have it"] {
        let said = apart.trust("--remove", path);
        assert!(said.code == 0 && said.out.contains(say), "{said:?}");
        assert!(!has());
    }
    assert_eq!(fs::read_dir(apart.store.path().join("local")).expect("a folder").count(), 0);
    // A stack without a CA of its own says what to do.
    let none = Stack::new();
    none.shell("web", "sleep 1000", serde_json::json!({}));
    let said = none.core(&["trust"]);
    assert!(said.code == 1 && said.err.contains("\"tls\": \"internal\""), "{said:?}");
}
