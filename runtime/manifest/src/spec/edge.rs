//! Resolves how an edge meets the world.

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use crate::diagnostic::Diagnostic;
use crate::manifest::Config;
use crate::manifest::edge::{Directories, Tls};

/// The settings of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSpec {
    /// The trusted proxies in front of it, as written.
    pub trusted_proxies: Vec<String>,
    /// Where its certificates come from.
    pub tls: Tls,
    /// Whom the CA writes to.
    pub email: Option<String>,
    /// ACME directories of the CAs that are asked, in order; empty means those that everybody trusts.
    pub directories: Vec<String>,
    /// Absolute paths of files with further roots that are trusted when they are asked.
    pub roots: Vec<String>,
}

/// The settings in `config`; their default for another kind of service. `root` is the stack's root.
pub(super) fn resolve(config: Option<&Config>, root: &str, profile: &str, faults: &mut Faults<'_>) -> EdgeSpec {
    let Some(config) = config else { return EdgeSpec::default() };
    if let Some(email) = config.email.as_deref().filter(|email| !is_address(email)) {
        faults.add(
            &["config", "email"],
            Diagnostic::new("wrong-value", format!("`email` is \"{email}\", expected an address")).help(
                "for example \"you@example.org\": the CA writes there when something is wrong with a certificate",
            ),
        );
    }
    let acme = config.acme.clone().unwrap_or_default();
    let directories = acme.directory.as_ref().map(Directories::all).unwrap_or_default();
    for wrong in directories.iter().filter(|url| !url.starts_with("https://")) {
        faults.add(
            &["config", "acme", "directory"],
            Diagnostic::new("wrong-value", format!("\"{wrong}\" is not the address of an ACME directory")).help(
                "it starts with https://; for example \"https://acme-staging-v02.api.letsencrypt.org/directory\"",
            ),
        );
    }
    let absolute = |path: &String| if path.starts_with('/') { path.clone() } else { format!("{root}/{path}") };
    EdgeSpec {
        trusted_proxies: config.trusted_proxies.clone(),
        tls: config.tls(profile),
        email: config.email.clone(),
        directories: directories.to_vec(),
        roots: acme.roots.iter().map(absolute).collect(),
    }
}

/// Whether this may be an e-mail address; a CA says the rest.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.')) && !text.contains(char::is_whitespace)
}
