//! Has the real program read the edge's configuration before it is used: what it would refuse is a fault of the manifests, and
//! the edge that serves goes on.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use core_engine::topology::Places as _;
use core_engine::{Generation, InstanceId};
use core_manifest::{Diagnostic, ServiceSpec};
use core_stack::{Stack, drivers};
use serde_json::{Value, json};

use crate::binaries::ask;
use crate::fill::fill_of;
use crate::identity::edge_user;
use crate::paths::Paths;

/// The folder in the run folder that it takes place in.
const FOLDER: &str = ".rehearsal";

/// The configuration that nothing was said of last: most edits change no edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rehearsal {
    passed: Option<String>,
}

impl Rehearsal {
    /// What the edge's program says of the configuration that the manifests come to; `may_run` says which programs may be
    /// asked. Blocks while it runs. Where it cannot be asked nothing is wrong: its start will tell. So it is for an edge with a
    /// user of its own, as whom nothing is run here.
    pub(crate) fn take(&mut self, paths: &Paths, stack: &Stack, may_run: impl Fn(&Path) -> bool) -> Option<Diagnostic> {
        let edge = stack.topology.edge()?;
        if edge_user(&stack.topology).is_some() {
            return None;
        }
        let program = edge.command.known_text().map(PathBuf::from).filter(|path| may_run(path))?;
        let folder = paths.run.join(FOLDER);
        let text = configuration(paths, stack, edge, &folder)?;
        if self.passed.as_ref() == Some(&text) {
            return None;
        }
        let said = rehearse(&program, &folder, &text);
        let _ = fs::remove_dir_all(&folder);
        match said {
            Ok(Some(why)) => return Some(fault(stack, edge, &why)),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!("the edge's configuration cannot be tried: {}", stack.hidden.cover(&error.to_string()));
            }
        }
        self.passed = Some(text);
        None
    }
}

/// The configuration as an instance would have it, but for what it would write: to no file of a log, and to a folder of its
/// own.
fn configuration(paths: &Paths, stack: &Stack, edge: &ServiceSpec, folder: &Path) -> Option<String> {
    let instance = InstanceId::new(edge.name.clone(), 0, Generation(0));
    let fill =
        fill_of(paths, &instance, &Default::default()).with_run(folder).with_values(Arc::new(stack.values.clone()));
    let mut config: Value = serde_json::from_str(&drivers::edge_configuration(edge)?.fill(&fill)).ok()?;
    if let Some(logs) = config["logging"]["logs"].as_object_mut() {
        // Its own log says why it refuses.
        logs.iter_mut().for_each(|(name, log)| {
            log["writer"] = json!({"output": if name == "default" { "stderr" } else { "discard" }});
        });
    }
    if config["storage"].is_object() {
        config["storage"]["root"] = json!(folder.join("data"));
    }
    if config["apps"]["tls"].is_object() {
        // Which would be asked for over the network.
        config["apps"]["tls"]["disable_ocsp_stapling"] = true.into();
    }
    Some(config.to_string())
}

/// Why the program refuses a configuration, if it does.
fn rehearse(program: &Path, folder: &Path, text: &str) -> io::Result<Option<String>> {
    // One that was cut off has left something.
    let _ = fs::remove_dir_all(folder);
    DirBuilder::new().mode(0o700).create(folder)?;
    let file = folder.join("edge.json");
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    out.write_all(text.as_bytes())?;
    let said = ask(program, &drivers::reads_only(&file.display().to_string())).map_err(io::Error::other)?;
    if said.is_well {
        return Ok(None);
    }
    said.text.lines().rev().find_map(reason).map(Some).ok_or_else(|| io::Error::other(said.text.clone()))
}

/// The reason in a line that the program says at its end; whoever cannot even start says none.
fn reason(line: &str) -> Option<String> {
    if let Some(text) = line.strip_prefix("Error: ") {
        return Some(text.to_owned());
    }
    let entry: Value = serde_json::from_str(line).ok()?;
    (entry["level"] == "error").then(|| entry["msg"].as_str().map(str::to_owned))?
}

/// The fault, at the setting that the program names, or at the edge's manifest.
fn fault(stack: &Stack, edge: &ServiceSpec, why: &str) -> Diagnostic {
    let reason = stack.hidden.cover(why.trim_end_matches(": <nil>"));
    // A module is named like the setting that it comes from, where it is named at all.
    let named = drivers::settings(edge.kind).iter().find(|key| reason.contains(&format!("'{key}'")));
    let at = named.and_then(|key| stack.drafts.span(&edge.name, &["config", key]));
    let at = at.or_else(|| stack.drafts.span(&edge.name, &["config"])).or_else(|| stack.drafts.span(&edge.name, &[]));
    // Each module adds in front of it where it was.
    let inner = reason.rfind("provision ").map_or(reason.as_str(), |at| &reason[at..]);
    Diagnostic::new("edge-refuses", format!("the edge would not start with what the manifests come to: {inner}"))
        .at_opt(at)
        .service(edge.name.as_str())
        .help("what it names comes from `config` of the edge or the `route` of a service; the edge that runs goes on as it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_what_caddy_says() {
        let log = r#"{"level":"error","ts":1.5,"msg":"provision tls: unable to add /root.pem to trust pool: <nil>"}"#;
        assert_eq!(reason(log).unwrap(), "provision tls: unable to add /root.pem to trust pool: <nil>");
        assert_eq!(reason("Error: adapting config").unwrap(), "adapting config");
        assert_eq!(reason(r#"{"level":"info","msg":"using config from file"}"#), None);
        assert_eq!(reason("exec format error"), None);
    }
}
