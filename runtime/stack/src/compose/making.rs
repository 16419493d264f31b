//! What a process of the file is made of.

use std::path::Path;

use core_manifest::Template;
use core_manifest::tree::Node;

use super::slot::Slot;
use super::text::Text;
use super::variables::Variables;

/// What a process is made of.
pub(super) struct Making<'a> {
    /// The program `core`.
    pub(super) core: &'a str,
    /// `.core-stack`.
    pub(super) state: &'a Path,
    pub(super) variables: &'a Variables,
    pub(super) slot: &'a Slot<'a>,
    /// The manifest.
    pub(super) manifest: Option<&'a Node>,
    /// What it waits for, by the names and conditions of the file.
    pub(super) depends_on: Vec<(String, &'static str)>,
    /// Why it is not started, where that is so.
    pub(super) disabled: Option<String>,
    /// It stands for all replicas, which are told the same.
    pub(super) stands_for_all: bool,
}

impl Making<'_> {
    /// A text that an instance is given.
    pub(super) fn text(&self, template: &Template) -> Text {
        Text::of(self.variables, template, self.slot)
    }

    /// A part of the manifest.
    pub(super) fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self.manifest?, |node, key| node.get(key))
    }

    /// A text of the manifest that no placeholder of an instance can stand in.
    pub(super) fn written(&self, path: &[&str]) -> Text {
        self.node(path).map_or_else(Text::default, |node| Text::of_node(self.variables, node, self.slot))
    }
}
