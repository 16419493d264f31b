//! Requests over TLS, as small as those without: one connection each.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;

/// A client that trusts some root certificates.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    /// One that trusts the certificates in this text.
    pub(crate) fn trusting(pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(one.expect("a certificate")).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        // Each connection is to see the certificate of now.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// A GET request to `address` for a path of `host`: all that came, from the status line on; or why nothing did.
    pub(crate) fn get(&self, address: &str, host: &str, path: &str) -> Result<String, String> {
        self.exchange(address, host, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"))
    }

    /// The same for a request that is written out.
    pub(crate) fn exchange(&self, address: &str, host: &str, request: &str) -> Result<String, String> {
        self.exchange_over(opened(address)?, host, request)
    }

    /// The same over a connection that is open.
    pub(crate) fn exchange_over(&self, tcp: TcpStream, host: &str, request: &str) -> Result<String, String> {
        let mut stream = self.over_tcp(tcp, host)?;
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The certificate that `address` has for a name, as PEM would contain it.
    pub(crate) fn certificate(&self, address: &str, host: &str) -> Result<Vec<u8>, String> {
        let mut stream = self.over_tcp(opened(address)?, host)?;
        stream.flush().map_err(|error| error.to_string())?;
        let chain = stream.conn.peer_certificates().ok_or("no certificate")?;
        Ok(chain[0].to_vec())
    }

    /// Speaks over a connection: HTTP/2, or 1.1.
    pub(crate) async fn over(
        &self,
        stream: tokio::net::TcpStream,
        host: &str,
        two: bool,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![if two { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Opens a connection of HTTP/3 to `address`.
    pub(crate) async fn quic(&self, address: &str, host: &str) -> Result<quinn::Connection, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"h3".to_vec()];
        let config = QuicClientConfig::try_from(config).map_err(|error| failed(&error))?;
        let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).map_err(|error| failed(&error))?;
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
        let address = address.parse().expect("an address");
        let connecting = endpoint.connect(address, host).map_err(|error| failed(&error))?;
        connecting.await.map_err(|error| failed(&error))
    }

    fn over_tcp(&self, tcp: TcpStream, host: &str) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
        let connection = ClientConnection::new(self.0.clone(), name).map_err(|error| failed(&error))?;
        Ok(StreamOwned::new(connection, tcp))
    }
}

fn opened(address: &str) -> Result<TcpStream, String> {
    let tcp = TcpStream::connect(address).map_err(|error| error.to_string())?;
    tcp.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    Ok(tcp)
}
