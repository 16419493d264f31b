//! What the edge may answer by itself: files that no rule of the app touches. The rules are evaluated here, against the
//! finite list of files, so that the edge never has to translate one.

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Config, Proxy, Rules};

/// What the edge may answer by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Edge {
    /// The rules that touch files of the build, as written: where there are some, the app answers for its own files, and
    /// the edge only for those of older releases.
    pub rules_on_built: Vec<String>,
    /// Whether the proxy is among them: it may decide who gets a file.
    pub guarded: bool,
    /// Whether the folder that is called after the build has a name that no other build has.
    pub own_folder: bool,
    /// Files of `public/` that no rule touches, by the path of their requests, with the base path.
    pub public: Vec<String>,
}

/// A rule that a request meets before files are looked for.
struct Rule {
    source: String,
    is_proxy: bool,
    /// `None` if it cannot be read: it may touch everything then.
    regex: Option<Regex>,
}

impl Rule {
    fn new(source: &str, regex: &str, is_proxy: bool) -> Self {
        // Next.js compares without regard to case. What depends on more than the path may touch it.
        let regex = Regex::new(&format!("(?i){regex}")).ok().filter(|_| !regex.is_empty());
        Self { source: source.to_owned(), is_proxy, regex }
    }

    fn touches(&self, path: &str) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(path).unwrap_or(true))
    }
}

/// What the edge may answer by itself. `release` is the ID of the release, if it is one.
pub(super) fn of(built: &Built, config: &Config, rules: &Rules, proxy: Option<&Proxy>, release: Option<&str>) -> Edge {
    let all = all(rules, proxy);
    let prefix = &config.base_path;
    let paths = |folder: &'static str, place: &'static str| {
        let below = built.below(folder).map(|file| &file.path[folder.len()..]);
        below.map(move |path| format!("{prefix}{place}{path}"))
    };
    let statics: Vec<String> = paths(".next/static/", "/_next/static/").collect();
    let touching = || all.iter().filter(|rule| statics.iter().any(|path| rule.touches(path)));
    let is_free = |path: &String| {
        // A request names it in percent-encoding, and a rule sees that.
        let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/@".contains(&byte));
        is_plain && !all.iter().any(|rule| rule.touches(path))
    };
    let build_id = built.text(".next/BUILD_ID").unwrap_or_default().trim();
    Edge {
        guarded: touching().any(|rule| rule.is_proxy),
        rules_on_built: touching().map(|rule| rule.source.clone()).collect(),
        own_folder: release.is_some_and(|id| id == build_id),
        public: paths("public/", "/").filter(is_free).collect(),
    }
}

/// The rules that stand before files.
fn all(rules: &Rules, proxy: Option<&Proxy>) -> Vec<Rule> {
    let headers = rules.headers.iter().map(|rule| Rule::new(&rule.source, &rule.regex, false));
    let redirects = rules.redirects.iter().map(|rule| Rule::new(&rule.source, &rule.regex, false));
    let before = rules.rewrites.iter().filter(|rule| rule.when == "beforeFiles");
    let before = before.map(|rule| Rule::new(&rule.source, &rule.regex, false));
    let matchers = proxy.into_iter().flat_map(|proxy| &proxy.matchers);
    let matchers = matchers
        .map(|one| Rule::new(one.source.as_deref().unwrap_or("the proxy, which has no matcher"), &one.regex, true));
    let unlimited = proxy.filter(|proxy| proxy.matchers.is_empty()).map(|_| Rule::new("the proxy", "", true));
    headers.chain(redirects).chain(before).chain(matchers).chain(unlimited).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{File, HeaderRule, Matcher};
    use super::*;

    fn built() -> Built {
        let file = |path: &str| File { path: path.to_owned(), bytes: 1 };
        let files = [".next/static/chunks/a.js", "public/a.txt", "public/b c.txt", "public/og/logo.png"];
        let texts = [(".next/BUILD_ID".to_owned(), "2026-x\n".to_owned())].into();
        Built { files: files.map(file).into(), texts, ..Built::default() }
    }

    #[test]
    fn files_that_no_rule_touches_are_the_edges() {
        let config = Config { base_path: "/shop".into(), ..Config::default() };
        let edge = of(&built(), &config, &Rules::default(), None, Some("2026-x"));
        assert_eq!(edge.public, ["/shop/a.txt", "/shop/og/logo.png"]);
        assert!(edge.rules_on_built.is_empty() && edge.own_folder);
        assert!(!of(&built(), &config, &Rules::default(), None, Some("2026-y")).own_folder);
    }

    #[test]
    fn rules_with_a_look_ahead_are_evaluated() {
        let regex = r"^(?:\/(_next\/data\/[^/]{1,}))?(?:\/((?!api|_next\/static|a\.txt).*))(\.json|\.rsc)?[\/#\?]?$";
        let matcher = Matcher { source: Some("/((?!api…".into()), regex: regex.into(), conditional: false };
        let proxy = Proxy { runtime: "nodejs".into(), matchers: vec![matcher] };
        let edge = of(&built(), &Config::default(), &Rules::default(), Some(&proxy), None);
        assert!(edge.rules_on_built.is_empty());
        assert_eq!(edge.public, ["/a.txt"]);
        // One that cannot be read may touch everything.
        let header = HeaderRule { source: "/(.*)".into(), regex: "(".into(), ..HeaderRule::default() };
        let rules = Rules { headers: vec![header], ..Rules::default() };
        let edge = of(&built(), &Config::default(), &rules, None, None);
        assert_eq!((edge.rules_on_built.len(), edge.public.len()), (1, 0));
        let everything = Proxy { matchers: Vec::new(), ..proxy };
        assert_eq!(of(&built(), &Config::default(), &Rules::default(), Some(&everything), None).public.len(), 0);
    }
}
