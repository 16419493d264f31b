//! The texts of a stack, as the host has read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_manifest::SourceFile;

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The stack's root.
    pub root: String,
    /// `${edge}`.
    pub edge: String,
    /// Path of this program.
    pub core: String,
    /// Name of the profile.
    pub profile: String,
    /// Manifests by the names of their folders; `None` for one that could not be read.
    pub manifests: BTreeMap<String, Option<Arc<SourceFile>>>,
    /// The stack manifest of the profile, where there is one.
    pub stack: Option<Arc<SourceFile>>,
    /// `.env`, where there is one.
    pub dotenv: Option<Arc<SourceFile>>,
    /// The environment we were started with, without what is ours.
    pub env: BTreeMap<String, String>,
    /// Secrets by the names of their files.
    pub secrets: BTreeMap<String, String>,
}

/// Finds the folders of apps below the root, relative to it; asked only where it matters.
pub type FindApps<'a> = &'a dyn Fn() -> Vec<String>;
