//! The texts of a spec, which may have holes: ports of other services, variables, secrets.

use std::collections::BTreeMap;

use super::{Check, GeneratedFile, HttpAnswer, Probe, ServiceSpec, Shutdown};
use crate::name::Identifier;
use crate::origin::Origin;
use crate::template::Template;

/// Every text of a spec, borrowed like the spec. A field that is missing here does not compile.
macro_rules! templates {
    ($spec:expr) => {{
        let ServiceSpec {
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
            edge: _,
            skew_cookie: _,
        } = $spec;
        let mut all = vec![command, working_dir];
        all.extend(args);
        all.extend(env.into_iter().map(|(_, value)| value));
        all.extend(shutdown);
        for Probe { check, .. } in [readiness, liveness].into_iter().flatten() {
            match check {
                Check::Http { address: target, path, answer } | Check::HttpUnix { socket: target, path, answer } => {
                    let HttpAnswer { headers, status: _, body_contains: _ } = answer;
                    all.extend([target, path]);
                    all.extend(headers.into_iter().map(|(_, value)| value));
                }
                Check::Loaded { socket, path, says: _, load: _, file } => all.extend([socket, path, file]),
                Check::Tcp { address } => all.push(address),
                Check::Exec { command, working_dir } => {
                    all.push(command);
                    all.extend(working_dir);
                }
                Check::Notify | Check::LogLine { .. } => {}
            }
        }
        all.extend(files.into_iter().flat_map(|GeneratedFile { path, contents }| [path, contents]));
        all
    }};
}

impl ServiceSpec {
    /// Every text that an instance gets.
    pub fn templates(&self) -> Vec<&Template> {
        templates!(self)
    }

    fn templates_mut(&mut self) -> Vec<&mut Template> {
        templates!(self)
    }

    /// Replaces the ports of other services with numbers in all texts. A hole without a number stays.
    pub fn fill_ports(&mut self, number: &mut impl FnMut(&str, &Identifier) -> Option<u16>) {
        for text in self.templates_mut() {
            text.fill_ports(number);
        }
    }

    /// Records the values of all variables and secrets, each as the `digest` of its name and value.
    pub fn note_values(&mut self, digest: &dyn Fn(&Origin, &str) -> String) {
        let origins = self.templates().into_iter().flat_map(Template::origins);
        let values: BTreeMap<Origin, String> =
            origins.map(|(origin, value)| (origin.clone(), digest(origin, value.unwrap_or_default()))).collect();
        self.values = Some(values);
    }

    /// The same spec with the values of variables and secrets in its texts, as older versions saved it.
    #[must_use]
    pub fn inlined(&self) -> Self {
        let mut spec = self.clone();
        for text in spec.templates_mut() {
            *text = text.inlined();
        }
        Self { values: None, ..spec }
    }
}
