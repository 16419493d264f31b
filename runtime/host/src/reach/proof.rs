//! What shows that a request has come to this stack: an answer that only this check knows. The running edge gives it, from
//! a file that is there for the time of the check; without an edge, the check listens itself.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use core_manifest::spec::PortSpec;
use core_stack::drivers;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ask;
use super::seen::{Answer, Answering, Port};
use crate::net::{self, Listening};

/// After which what a check left behind that was killed is removed.
const OLD: Duration = Duration::from_secs(600);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request that is read.
const LONGEST: usize = 8 << 10;

/// It ends with its value.
#[derive(Debug)]
pub(super) struct Proof {
    /// The path to ask for.
    pub(super) path: String,
    /// What is answered there.
    pub(super) secret: String,
    pub(super) answering: Answering,
    file: Option<PathBuf>,
    listeners: Vec<JoinHandle<()>>,
}

impl Proof {
    /// Has the edge answer, whose pointers are in this folder; or listens where it would, without certificates and with.
    pub(super) async fn begin(edge: &Path, plain: &PortSpec, secure: Option<&PortSpec>) -> io::Result<Self> {
        let [token, secret] = [random()?, random()?];
        let (folder, path, _) = drivers::HERE;
        let mut proof = Self {
            path: format!("{path}{token}"),
            file: edge.is_dir().then(|| put(&edge.join(folder), &token, &secret)).and_then(Result::ok),
            secret,
            answering: Answering::Edge,
            listeners: Vec::new(),
        };
        let number = plain.number.unwrap_or(80);
        if !proof.is_answered_at(&plain.address, number).await {
            proof.answering = match proof.listen(&plain.address, number) {
                Ok(()) => Answering::Check,
                Err(why) => Answering::Nobody(why),
            };
            if let (Answering::Check, Some(secure)) = (&proof.answering, secure) {
                // Whether it is reached is shown there in the same way.
                let _ = proof.listen(&secure.address, secure.number.unwrap_or(443));
            }
        }
        Ok(proof)
    }

    /// Whether the edge on this host answers: at the address that it is bound to.
    async fn is_answered_at(&self, address: &str, number: u16) -> bool {
        for to in local(address) {
            let asked = ask::plain(SocketAddr::new(to, number), "localhost", &self.path, &self.secret).await;
            if matches!(asked, Port::Reached(Answer { is_ours: true, .. })) {
                return true;
            }
        }
        false
    }

    fn listen(&mut self, address: &str, number: u16) -> Result<(), String> {
        let listener = bind(address, number).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{} has port {number}", net::owner_in_words(Listening::read().sockets(number)))
            }
            io::ErrorKind::PermissionDenied => format!("this user may not open port {number}"),
            _ => format!("port {number} cannot be opened: {error}"),
        })?;
        let (path, secret) = (self.path.clone(), self.secret.clone());
        self.listeners.push(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (path, secret) = (path.clone(), secret.clone());
                tokio::spawn(async move { timeout(PATIENCE, answer(stream, &path, &secret)).await });
            }
        }));
        Ok(())
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// Where a socket that is bound to this address is reached on this host.
fn local(address: &str) -> Vec<std::net::IpAddr> {
    match address.parse::<std::net::IpAddr>() {
        Ok(address) if !address.is_unspecified() => vec![address],
        Ok(_) | Err(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
    }
}

fn bind(address: &str, number: u16) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((address, number)).or_else(|error| match error.kind() {
        // A host without IPv6.
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable => {
            std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, number))
        }
        _ => Err(error),
    })?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Answers one request as the edge would.
async fn answer(mut stream: TcpStream, path: &str, secret: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|part| part == b"\r\n\r\n") && request.len() < LONGEST {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let is_meant = request.starts_with(format!("GET {path} ").as_bytes());
    let (status, body) = if is_meant { ("200 OK", secret) } else { ("404 Not Found", "") };
    let (length, server) = (body.len(), drivers::HERE.2);
    let head = format!("HTTP/1.1 {status}\r\nServer: {server}\r\nContent-Type: text/plain\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Writes what the edge answers, which may run as another user.
fn put(folder: &Path, token: &str, secret: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
    for entry in fs::read_dir(folder)?.flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok();
        if age.and_then(|time| SystemTime::now().duration_since(time).ok()).is_some_and(|age| age > OLD) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let (file, beside) = (folder.join(token), folder.join(format!(".{token}.new")));
    fs::write(&beside, secret)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(&beside, &file)?;
    Ok(file)
}

fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(core_stack::hex(&bytes))
}
