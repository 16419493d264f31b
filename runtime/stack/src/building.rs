//! What the manifests say about the build of an app.

use std::collections::BTreeMap;

use core_manifest::ServiceName;
use core_manifest::manifest::Config;
use core_manifest::manifest::config::{Build, Hooks};
use core_manifest::schema::Shape;
use core_manifest::tree::Node;

use crate::draft::Drafts;
use crate::drivers;
use crate::sources::Sources;

/// How an app is built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Building {
    /// Variables on top of the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Everything that decides about variables in the result: those, and inherited ones that are put into it.
    pub identity: BTreeMap<String, String>,
    /// The settings of the manifest.
    pub build: Build,
    /// What is run before a release serves, if anything is.
    pub release_command: Option<String>,
    /// What is run around a deploy.
    pub hooks: Hooks,
    /// Which files are watched by `core deploy --if-changed`, if not all.
    pub watch_paths: Vec<String>,
    /// What the app writes, and is not in a release.
    pub persist: Vec<String>,
    /// How many old releases are kept, if the manifest says.
    pub keep: Option<u32>,
    /// The user that the service runs as, if the manifest names one.
    pub user: Option<String>,
}

impl Building {
    /// Whether something has to be run before a release that has landed may serve.
    pub fn prepares_switch(&self) -> bool {
        self.release_command.is_some() || self.hooks.before_switch.is_some()
    }
}

impl Drafts {
    /// How the app of a service is built. Variables come, each over the one before: from `.env`, from the profile and from
    /// `process.env` as far as they are put into the bundle by their names; and from `config.build.env`.
    pub fn building(&self, service: &ServiceName, sources: &Sources) -> Building {
        let Some(draft) = self.services.get(service) else { return Building::default() };
        let scope = self.first_scope(sources);
        let shape = Shape::of_manifest();
        let resolved = |path: &[&str]| {
            let mut part = path.iter().try_fold(&draft.node, |node, key| node.get(key))?.clone();
            let at = path.iter().fold(shape.start(), |at, key| at.key(key));
            scope.resolve(&mut part, &at, &mut Vec::new());
            Some(part)
        };
        // `config` was resolved first, and invalid values are reported when the whole manifest is checked.
        let config = draft.node.get("config").map(Node::to_json);
        let config: Config = config.and_then(|config| serde_json::from_value(config).ok()).unwrap_or_default();
        let public =
            |(name, value): (&str, String)| drivers::is_public_variable(name).then(|| (name.to_owned(), value));
        let mut env = BTreeMap::new();
        env.extend(self.dotenv.iter().filter_map(|(name, value)| public((name, value.clone()))));
        env.extend(self.profile_env.iter().filter_map(|(name, text)| public((name, text.known_text()?.clone()))));
        let own = resolved(&["process", "env"]);
        let own = own.as_ref().map(Node::entries).unwrap_or_default();
        env.extend(own.iter().filter_map(|(key, node)| public((&key.name, node.text()?.to_owned()))));
        env.extend(config.build.env.clone());
        let inherited = sources.env.iter().filter_map(|(name, value)| public((name, value.clone())));
        let mut identity: BTreeMap<String, String> = inherited.collect();
        identity.extend(env.clone());
        let user = resolved(&["process", "user"]).and_then(|user| user.text().map(str::to_owned));
        Building {
            env,
            identity,
            build: config.build,
            release_command: config.release_command,
            hooks: config.hooks,
            watch_paths: config.watch_paths,
            persist: config.persist,
            keep: config.keep,
            user,
        }
    }
}
