//! How a version of Next.js is asked for a release: by the build adapter, or by variables where there is none.

/// How `next build` learns what a release needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// The build adapter (`NEXT_ADAPTER_PATH`): since 15.5.
    Adapter,
    /// Variables: for what has no adapter, and for 16.3.0 to 16.3.4, whose standalone output fails with one
    /// (vercel/next.js#96657, mended in 16.3.5 by #97287).
    Variables,
}

/// The means for a version, as the package names it: `16.4.6`, `15.6.0-canary.1`. What cannot be read is taken for a new
/// one.
fn means(version: &str) -> Means {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    let mut part = || parts.next().flatten();
    match (part(), part(), part()) {
        (Some(16), Some(3), Some(0..=4)) => Means::Variables,
        (Some(major), Some(minor), _) if (major, minor) < (15, 5) => Means::Variables,
        _ => Means::Adapter,
    }
}

/// Whether the build of a version can be asked for caches.
pub fn takes_handlers(version: &str) -> bool {
    means(version) == Means::Adapter
}

/// What `next build` of this version gets in its environment. `adapter` is the path of the adapter, `release` the ID of
/// the release, `root` the folder that is built, `handlers` that of the cache's handlers.
pub fn variables(version: &str, adapter: &str, release: &str, root: &str, handlers: &str) -> Vec<(String, String)> {
    let pairs: &[(&str, &str)] = match means(version) {
        Means::Adapter => &[
            ("NEXT_ADAPTER_PATH", adapter),
            ("CORE_RELEASE_ID", release),
            ("CORE_BUILD_ROOT", root),
            ("CORE_HANDLERS", handlers),
            ("CORE_NEXT_VERSION", version),
        ],
        // The default of `output`, the release in the addresses of files, and the root of the trace (since 15.0).
        Means::Variables => &[
            ("NEXT_PRIVATE_STANDALONE", "1"),
            ("NEXT_DEPLOYMENT_ID", release),
            ("NEXT_PRIVATE_OUTPUT_TRACE_ROOT", root),
        ],
    };
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_a_working_adapter_is_asked_by_variables() {
        for version in ["13.5.11", "14.2.35", "15.0.0", "15.4.9", "16.3.0", "16.3.4"] {
            assert_eq!(means(version), Means::Variables, "{version}");
        }
        for version in ["15.5.0", "15.5.29", "16.0.10", "16.2.12", "16.3.5", "16.3.8", "16.4.6", "17.0.0-canary.1", ""]
        {
            assert_eq!(means(version), Means::Adapter, "{version}");
        }
        let names = |version| {
            variables(version, "a", "r", "/x", "/x/.core").into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(names("16.4.6").contains(&"NEXT_ADAPTER_PATH".to_owned()));
        assert!(!names("16.3.4").contains(&"NEXT_ADAPTER_PATH".to_owned()));
    }
}
