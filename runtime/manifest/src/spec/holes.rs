//! The holes of a spec that the whole stack fills: ports of other services.

use std::collections::BTreeMap;

use super::{Check, GeneratedFile, HttpAnswer, Probe, ServiceSpec, Shutdown};
use crate::name::Identifier;
use crate::origin::Origin;
use crate::template::Template;

impl ServiceSpec {
    /// Puts numbers in the place of other services' ports, in all texts. A hole for which there is none stays.
    pub fn fill_ports(&mut self, number: &mut impl FnMut(&str, &Identifier) -> Option<u16>) {
        for text in self.templates_mut() {
            text.fill_ports(number);
        }
    }

    /// Notes what all variables and secrets are, by `digest` of a name and a value.
    pub fn note_values(&mut self, digest: &dyn Fn(&Origin, &str) -> String) {
        let mut values = BTreeMap::new();
        for text in self.templates_mut() {
            for (origin, value) in text.origins() {
                values.insert(origin.clone(), digest(origin, value.unwrap_or_default()));
            }
        }
        self.values = Some(values);
    }

    /// The same with the text of variables and secrets in it, as older versions had it.
    #[must_use]
    pub fn inlined(&self) -> Self {
        let mut spec = self.clone();
        for text in spec.templates_mut() {
            *text = text.inlined();
        }
        Self { values: None, ..spec }
    }

    /// Every text that may have holes. A field that is missing here does not compile.
    fn templates_mut(&mut self) -> Vec<&mut Template> {
        let Self {
            name: _,
            kind: _,
            description: _,
            namespace: _,
            command,
            args,
            env,
            working_dir,
            shell: _,
            identity: _,
            disabled: _,
            is_daemon: _,
            replicas: _,
            depends_on: _,
            availability: _,
            success_exit_codes: _,
            readiness,
            liveness,
            shutdown: Shutdown { signal: _, timeout: _, command: shutdown, parent_only: _ },
            log: _,
            ports: _,
            route: _,
            update: _,
            binaries: _,
            files,
            release: _,
            store: _,
            values: _,
            trusted_proxies: _,
        } = self;
        let probes = [readiness, liveness].into_iter().flatten().flat_map(Probe::templates_mut);
        let files = files.iter_mut().flat_map(|GeneratedFile { path, contents }| [path, contents]);
        let own = [command, working_dir].into_iter().chain(args).chain(env.values_mut()).chain(shutdown.as_mut());
        own.chain(probes).chain(files).collect()
    }
}

impl Probe {
    fn templates_mut(&mut self) -> Vec<&mut Template> {
        match &mut self.check {
            Check::Http { address: where_to, path, answer } | Check::HttpUnix { socket: where_to, path, answer } => {
                let HttpAnswer { headers, status: _, body_contains: _ } = answer;
                [where_to, path].into_iter().chain(headers.values_mut()).collect()
            }
            Check::Tcp { address } => vec![address],
            Check::Exec { command, working_dir } => [command].into_iter().chain(working_dir.as_mut()).collect(),
            Check::Notify | Check::LogLine { .. } => Vec::new(),
        }
    }
}
