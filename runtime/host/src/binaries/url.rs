//! Downloads a file from a URL.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::archive::{self, Kind};
use super::{Fetched, Landing};

/// The largest file, in bytes.
const LONGEST: u64 = 2 << 30;
/// How long a server may send nothing.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn fetch(landing: &Landing<'_>, url: &str, sha256: &str) -> Result<Fetched, String> {
    landing.say("downloading");
    let name = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    let kind = archive::kind_of(url);
    let (url, wanted) = (url.to_owned(), sha256.to_lowercase());
    let (scratch, binary) = (landing.scratch.to_owned(), landing.wanted.binary.clone());
    let (progress, folder) = (landing.progress.clone(), landing.folder.to_owned());
    // Beside the folder that lands, so that the archive does not land too.
    let file = landing.downloads()?.join("file");
    tokio::task::spawn_blocking(move || {
        let found = download(&url, &file, PATIENCE, LONGEST, &|done, total| progress.at(&folder, done, total))?;
        if found != wanted {
            return Err(format!("{url} has SHA-256 {found}, the manifest says {wanted}"));
        }
        place(&file, kind, &binary, &scratch)?;
        Ok(Fetched { file: name, sha256: found })
    })
    .await
    .map_err(|error| error.to_string())?
}

fn place(file: &Path, kind: Kind, binary: &str, scratch: &Path) -> Result<(), String> {
    match kind {
        Kind::Plain => {
            let target: PathBuf = scratch.join(binary);
            std::fs::copy(file, target).map(drop).map_err(|error| error.to_string())
        }
        archive => archive::unpack(file, archive, scratch),
    }
}

/// Downloads to `file`, and returns the SHA-256 of what was received.
fn download(
    url: &str,
    file: &Path,
    patience: Duration,
    longest: u64,
    tell: &dyn Fn(u64, Option<u64>),
) -> Result<String, String> {
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        // The limit is per read, not for the whole body: a large file may take long as long as data arrives.
        .timeout_per_read(Some(patience))
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let total = response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_long = || format!("{url} is longer than {} MiB, which is the most that is downloaded", longest >> 20);
    if total.is_some_and(|total| total > longest) {
        return Err(too_long());
    }
    let mut body = response.body_mut().as_reader();
    let mut out = File::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut done = 0_u64;
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("{url} broke off after {done} bytes: {error}")),
        };
        // A server need not send the size in advance.
        if done + count as u64 > longest {
            return Err(too_long());
        }
        hash.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(|error| format!("{}: {error}", file.display()))?;
        done += count as u64;
        tell(done, total);
    }
    if total.is_some_and(|total| total != done) {
        return Err(format!("{url} broke off after {done} of {} bytes", total.unwrap_or_default()));
    }
    Ok(core_stack::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_server_that_falls_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").unwrap();
            stream
        });
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let result = download(&url, &folder.path().join("x"), Duration::from_millis(200), LONGEST, &|_, _| {});
        let message = result.unwrap_err();
        assert!(message.contains("broke off after 4 bytes"), "{message}");
        assert!(began.elapsed() < PATIENCE);
        // The server kept the connection open all the time.
        drop(server.join());
    }

    #[test]
    fn a_file_that_is_too_long_is_not_downloaded() {
        let folder = tempfile::tempdir().unwrap();
        for head in ["Content-Length: 8\r\n", ""] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/x", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let _ = stream.read(&mut [0; 4096]);
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n12345678").unwrap();
            });
            let get = |longest: u64| download(&url, &folder.path().join("x"), PATIENCE, longest, &|_, _| {});
            assert!(get(7).is_err_and(|error| error.contains("which is the most that is downloaded")));
            server.join().unwrap();
        }
    }
}
