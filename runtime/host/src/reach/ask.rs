//! Requests to one address under a name, without and with certificates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificates::Certificate;

use super::seen::{Answer, Closed, Port, Served};

/// How long a connection, and then an answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest part of an answer that is read.
const LONGEST: u64 = 16 << 10;

/// Asks for a path of a name; `secret` is what this stack answers.
pub(super) async fn plain(to: SocketAddr, name: &str, path: &str, secret: &str) -> Port<Answer> {
    match answer(to, name, path, secret).await {
        Ok(answer) => Port::Reached(answer),
        Err(closed) => Port::Closed(closed),
    }
}

async fn answer(to: SocketAddr, name: &str, path: &str, secret: &str) -> Result<Answer, Closed> {
    let mut stream = connect(to).await?;
    let host = if to.port() == 80 { name.to_owned() } else { format!("{name}:{}", to.port()) };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: core\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        // What came before an error counts.
        let _ = stream.take(LONGEST).read_to_end(&mut answer).await;
        io::Result::Ok(())
    };
    // Of a server that does not close the connection, what came in that time is its answer.
    if let Ok(Err(error)) = timeout(PATIENCE, asked).await {
        return Err(closed(&error));
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let server = head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("server").then(|| value.trim().chars().take(60).collect())
    });
    // A server in between may have cut it into chunks.
    Ok(Answer { status, server, is_ours: status == 200 && body.contains(secret) })
}

/// Which certificate an address has for a name. Whether it is believed does not matter: it is looked at.
pub(super) async fn secure(to: SocketAddr, name: &str, now: Timestamp) -> Port<Option<Served>> {
    let stream = match connect(to).await {
        Ok(stream) => stream,
        Err(closed) => return Port::Closed(closed),
    };
    Port::Reached(certificate(stream, name, now).await)
}

async fn certificate(stream: TcpStream, name: &str, now: Timestamp) -> Option<Served> {
    let host = ServerName::try_from(name.to_owned()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().ok()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Any(provider))).with_no_client_auth();
    let shaken = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(host.clone(), stream)).await.ok()?;
    let stream = shaken.ok()?;
    let first = stream.get_ref().1.peer_certificates()?.first()?;
    let Certificate { issuer, not_after, .. } = Certificate::of(first)?;
    let is_for_name =
        ParsedCertificate::try_from(first).is_ok_and(|one| rustls::client::verify_server_name(&one, &host).is_ok());
    Some(Served { issuer, not_after: not_after.to_string(), is_over: not_after <= now, is_for_name })
}

async fn connect(to: SocketAddr) -> Result<TcpStream, Closed> {
    match timeout(PATIENCE, TcpStream::connect(to)).await {
        Ok(result) => result.map_err(|error| closed(&error)),
        Err(_) => Err(Closed::Silent),
    }
}

fn closed(error: &io::Error) -> Closed {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Closed::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => Closed::Silent,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Closed::NoWay,
        _ => Closed::Other(error.to_string()),
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
