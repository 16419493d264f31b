//! A real CA on this machine: Pebble, the small one of Let's Encrypt for tests, and the name server that it asks.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::tls::Client;
use super::{checkout, free_port, http, until};

/// A CA; it ends when it goes out of sight.
pub(crate) struct Pebble {
    folder: tempfile::TempDir,
    /// Its name server, and itself while it runs.
    names: Child,
    ca: Option<Child>,
    port: u16,
    management: u16,
    dns: u16,
    control: u16,
    /// The server that answers nonsense in its place: whether it goes on, and whether it has ended.
    nonsense: Option<(Arc<AtomicBool>, Arc<AtomicBool>)>,
}

impl Pebble {
    /// A CA that asks for challenges at these ports of this host, whatever the name.
    pub(crate) fn new(http: u16, tls: u16) -> Self {
        Self::issuing(http, tls, Duration::from_secs(90 * 24 * 3600))
    }

    /// The same; its certificates are good for so long.
    pub(crate) fn issuing(http: u16, tls: u16, life: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("core-pebble-").tempdir().expect("a temporary folder");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
        let put = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("a file");
        put("root.pem", cert.pem());
        put("key.pem", signing_key.serialize_pem());
        let [port, management, dns, control] = [(); 4].map(|()| free_port());
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("root.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "certificateValidityPeriod": life.as_secs(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        put("config.json", config.to_string());
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut names = Command::new(programs().join("pebble-challtestsrv"));
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.args(["-dns01", &local(dns), "-management", &local(control)]);
        let names = quiet(&mut names).spawn().expect("the name server");
        let mut pebble = Self { folder, names, ca: None, port, management, dns, control, nonsense: None };
        pebble.start();
        pebble
    }

    fn start(&mut self) {
        let mut ca = Command::new(programs().join("pebble"));
        ca.arg("-config").arg(self.folder.path().join("config.json"));
        ca.args(["-dnsserver", &format!("127.0.0.1:{}", self.dns)]);
        ca.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        self.ca = Some(quiet(&mut ca).spawn().expect("the CA"));
        let client = Client::trusting(&fs::read_to_string(self.own_root()).expect("its own root"));
        until("the CA answers", || client.get(&format!("127.0.0.1:{}", self.port), "localhost", "/dir").is_ok());
    }

    fn end(&mut self) {
        if let Some(mut ca) = self.ca.take() {
            ca.kill().and_then(|()| ca.wait()).expect("it is ours");
        }
    }

    /// What an edge has in `config` to get its certificates here.
    pub(crate) fn config(&self) -> serde_json::Value {
        json!({"email": "test@example.org", "tls": "auto", "acme": {
            "directory": format!("https://localhost:{}/dir", self.port),
            "roots": [self.own_root()],
        }})
    }

    /// Puts a server into its place that answers nonsense, until that is ended; the CA is then, too.
    pub(crate) fn talk_nonsense(&mut self) {
        self.end();
        let read = |name: &str| fs::read(self.folder.path().join(name)).expect("a file");
        let chain = CertificateDer::pem_slice_iter(&read("root.pem")).collect::<Result<Vec<_>, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(&read("key.pem")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("its own");
        let (config, listener) = (Arc::new(config), TcpListener::bind(("127.0.0.1", self.port)).expect("its port"));
        let (going_on, is_over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        self.nonsense = Some((going_on.clone(), is_over.clone()));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !going_on.load(Ordering::Relaxed) {
                    break;
                }
                let connection = ServerConnection::new(config.clone()).expect("a connection");
                let mut stream = StreamOwned::new(connection, stream);
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).is_ok() {
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n";
                    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\nhello").as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
            drop(listener);
            is_over.store(true, Ordering::Relaxed);
        });
    }

    /// Then nobody answers there.
    pub(crate) fn talk_no_more(&mut self) {
        if let Some((going_on, is_over)) = self.nonsense.take() {
            going_on.store(false, Ordering::Relaxed);
            until("its port is free", || {
                let _ = TcpStream::connect(("127.0.0.1", self.port));
                is_over.load(Ordering::Relaxed)
            });
        }
    }

    /// From now on, a name leads to this address.
    pub(crate) fn lead(&self, name: &str, address: &str) {
        let family = if address.contains(':') { "aaaa" } else { "a" };
        let body = json!({"host": format!("{name}."), "addresses": [address]});
        for verb in ["clear", "add"] {
            self.of_names(&format!("{verb}-{family}"), &body);
        }
    }

    /// Tells its name server something.
    pub(crate) fn of_names(&self, verb: &str, body: &serde_json::Value) {
        let url = format!("http://127.0.0.1:{}/{verb}", self.control);
        let (status, said) = http::request("POST", &url, &[], &body.to_string()).expect("an answer");
        assert_eq!(status, 200, "{said}");
    }

    /// Where its name server is.
    pub(crate) fn resolver(&self) -> String {
        format!("127.0.0.1:{}", self.dns)
    }

    /// A client that trusts what it issues.
    pub(crate) fn client(&self) -> Client {
        let own = Client::trusting(&fs::read_to_string(self.own_root()).expect("its own root"));
        let address = format!("127.0.0.1:{}", self.management);
        let answer = own.get(&address, "localhost", "/roots/0").expect("its root");
        Client::trusting(answer.split_once("\r\n\r\n").expect("a body").1)
    }

    fn own_root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
        self.talk_no_more();
        let _ = self.names.kill().and_then(|()| self.names.wait());
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// The folder of its programs, which come from Debian's package, or are built.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = checkout().join(".dep/pebble-for-tests");
        let programs = folder.join("usr/bin");
        if !programs.join("pebble").exists() {
            fs::create_dir_all(&folder).expect("a folder");
            let script = "apt-get download pebble && dpkg -x pebble_*.deb .";
            let build = "mkdir -p usr/bin && GOBIN=$PWD/usr/bin go install \
                         github.com/letsencrypt/pebble/v2/cmd/pebble@v2.8.0 \
                         github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@v2.8.0";
            let output =
                Command::new("sh").args(["-c", &format!("({script}) || ({build})")]).current_dir(&folder).output();
            let output = output.expect("a shell");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        programs
    })
}
