//! The texts of a stack, as the host has read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_engine::trial::Trial;
use core_manifest::named::{Folders, Lists};
use core_manifest::spec::OwnCertificate;
use core_manifest::{ServiceName, SourceFile};

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The root of the stack.
    pub root: String,
    /// The value of `${edge}`: the folder of the edge's pointers.
    pub edge: String,
    /// Path of the running `core` program.
    pub core: String,
    /// Name of the profile.
    pub profile: String,
    /// Whether the host has so little memory that nothing is kept there beside what serves.
    pub has_little_memory: bool,
    /// Releases that run beside live ones, by the services that run them.
    pub trials: BTreeMap<ServiceName, Trial>,
    /// Manifests by the names of their folders; `None` for one that could not be read.
    pub manifests: BTreeMap<String, Option<Arc<SourceFile>>>,
    /// The stack manifest of the profile, if there is one.
    pub stack: Option<Arc<SourceFile>>,
    /// The file `.env`, if there is one.
    pub dotenv: Option<Arc<SourceFile>>,
    /// The environment that core was started with, without the variables that belong to core.
    pub env: BTreeMap<String, String>,
    /// Certificates from files, of edges.
    pub certificates: BTreeMap<ServiceName, Vec<OwnCertificate>>,
    /// Secrets by the names of their files.
    pub secrets: BTreeMap<String, String>,
    /// Files with one entry a line that manifests name, as they name them.
    pub lists: Lists,
    /// The files of folders that manifests name.
    pub folders: Folders,
}

/// What the host looks up about apps, only if it is needed.
pub trait Apps {
    /// The folders of apps below the root, relative to it.
    fn find(&self) -> Vec<String>;

    /// The text of a file in the folder of an app, if it is there.
    fn read(&self, app: &str, name: &str) -> Option<String>;
}
