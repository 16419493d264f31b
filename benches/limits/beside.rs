//! Other servers with a limit of their own, in front of the same service.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::common::{free_port, http, until};

/// A running server.
pub(crate) struct Beside {
    pub(crate) name: String,
    pub(crate) address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Beside {
    /// nginx, if it is on PATH, and the one of `PEER`, if that is set.
    pub(crate) fn all(inner: &str) -> Vec<Self> {
        let peer = std::env::var("PEER").ok();
        let peer = peer.as_deref().and_then(|text| text.split_once('=')).map(|(name, line)| {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            (name.to_owned(), command, free_port())
        });
        let folder = || tempfile::tempdir().expect("a folder");
        let mut all: Vec<Self> = Self::nginx(inner, folder()).into_iter().collect();
        all.extend(peer.and_then(|(name, command, port)| Self::start(name, command, inner, port, folder())));
        all
    }

    fn nginx(inner: &str, folder: tempfile::TempDir) -> Option<Self> {
        let (at, port) = (folder.path().display(), free_port());
        let config = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes auto;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
                uwsgi_temp_path {at}/d; scgi_temp_path {at}/e; keepalive_requests 1000000000;
                limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;
                upstream inner {{ server {inner}; keepalive 32; }}
                server {{
                    listen 127.0.0.1:{port};
                    proxy_http_version 1.1; proxy_set_header Connection '';
                    location / {{ proxy_pass http://inner; }}
                    location /limited {{ limit_req zone=all burst=1000000 nodelay; proxy_pass http://inner; }}
                }}
            }}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).ok()?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file);
        Self::start("nginx".into(), command, inner, port, folder)
    }

    fn start(name: String, mut command: Command, inner: &str, port: u16, folder: tempfile::TempDir) -> Option<Self> {
        let command = command.env("INNER", inner).env("PORT", port.to_string()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().ok()?;
        let address = format!("127.0.0.1:{port}");
        until("it listens", || http::get(&format!("http://{address}/")).is_some());
        Some(Self { name, address, child, _folder: folder })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // With its workers.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
