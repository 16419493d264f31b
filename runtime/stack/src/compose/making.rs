//! The inputs for one process of the file.

use std::path::Path;

use core_manifest::Template;
use core_manifest::tree::Node;

use super::slot::Slot;
use super::text::Text;
use super::variables::Variables;

/// The inputs for one process.
pub(super) struct Making<'a> {
    /// Path of the `core` program.
    pub(super) core: &'a str,
    /// The folder `.core-stack`.
    pub(super) state: &'a Path,
    pub(super) variables: &'a Variables,
    pub(super) slot: &'a Slot<'a>,
    /// The manifest of the service.
    pub(super) manifest: Option<&'a Node>,
    /// The processes that it waits for, with the names and conditions of the file.
    pub(super) depends_on: Vec<(String, &'static str)>,
    /// Why it is not started; `None` if it is.
    pub(super) disabled: Option<String>,
    /// Whether it stands for all replicas, which then get the same values.
    pub(super) stands_for_all: bool,
}

impl Making<'_> {
    /// A text that an instance gets.
    pub(super) fn text(&self, template: &Template) -> Text {
        Text::of(self.variables, template, self.slot)
    }

    /// A part of the manifest.
    pub(super) fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self.manifest?, |node, key| node.get(key))
    }

    /// A text of the manifest that cannot contain a placeholder of an instance.
    pub(super) fn written(&self, path: &[&str]) -> Text {
        self.node(path).map_or_else(Text::default, |node| Text::of_node(self.variables, node, self.slot))
    }
}
