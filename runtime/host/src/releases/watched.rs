//! Whether an app has changed since a release was made of it: by all of its sources, or by the files that
//! `config.watch_paths` names, with the rules of `.gitignore` (gitignore(5)).

use core_stack::Wanted;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::choose::{Sources, hash_of};
use super::project::Project;
use super::record::Record;
use super::{actions_key, app_of};
use crate::binaries::inputs::{hash_of_some, lexically, of_app};
use crate::paths::Paths;

/// Whether a release is of what is there now, as far as it is watched.
///
/// # Errors
/// The sources cannot be read, or a rule is none, as text for people.
pub(super) fn is_of_now(paths: &Paths, service: &str, wanted: &Wanted, id: &str) -> Result<bool, String> {
    let Some(record) = Record::read(&paths.releases().join(service).join(id)) else { return Ok(false) };
    match hash(paths, service, wanted)? {
        Some(hash) => Ok(record.watched == Some(hash)),
        None => Ok(record.source == hash_of(paths, Sources::of(service, wanted))?),
    }
}

/// The hash of the watched files, their names, and the variables that are in the result; `None` if all files count.
///
/// # Errors
/// As above.
pub(super) fn hash(paths: &Paths, service: &str, wanted: &Wanted) -> Result<Option<String>, String> {
    let building = &wanted.building;
    if building.watch_paths.is_empty() {
        return Ok(None);
    }
    let rules = Rules::new(&building.watch_paths)?;
    let project = Project::of(&lexically(&paths.root.join(app_of(wanted))));
    let mut extra = vec!["watched 1", &wanted.tool_version];
    extra.extend(building.watch_paths.iter().map(String::as_str));
    extra.extend(building.identity.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    let rotated = actions_key::rotated(paths, service);
    extra.extend(rotated.as_deref());
    let counts = of_app(&paths.root, &project.root);
    let hash = hash_of_some(&project.root, counts, |path| rules.name(path), &extra);
    hash.map(Some).map_err(|error| paths.shown(std::path::Path::new(&error.to_string())))
}

/// Patterns of files, relative to the project.
struct Rules(Gitignore);

impl Rules {
    fn new(rules: &[String]) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        for rule in rules {
            builder.add_line(None, rule).map_err(|error| format!("config.watch_paths: `{rule}`: {error}"))?;
        }
        builder.build().map(Self).map_err(|error| format!("config.watch_paths: {error}"))
    }

    /// Whether they name this file, or a folder above it.
    fn name(&self, path: &str) -> bool {
        self.0.matched_path_or_any_parents(path, false).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_gitignore() {
        let all = ["/apps/web/", "packages/ui", "*.prisma", "!*.md", "/package.json"];
        let rules = Rules::new(&all.map(str::to_owned)).unwrap();
        for path in ["apps/web/app/page.tsx", "packages/ui/src/button.tsx", "database/schema.prisma", "package.json"] {
            assert!(rules.name(path), "{path}");
        }
        for path in [
            "apps/admin/app/page.tsx",
            "old/apps/web/page.tsx",
            "old/packages/ui/x.ts",
            "apps/web/README.md",
            "apps/admin/package.json",
        ] {
            assert!(!rules.name(path), "{path}");
        }
        let refused = Rules::new(&["a{b".to_owned()]).err().unwrap();
        assert!(refused.starts_with("config.watch_paths: `a{b`: "), "{refused}");
    }
}
