//! From the files of a stack to its topology.
//!
//! ```text
//! files --read--> texts --(core-stack)--> drafts --secrets, binaries--> --(core-stack)--> topology
//! ```
//!
//! Whatever reads files or runs programs is here and in `binaries`; the crate `core-stack` interprets the results. All
//! errors of all files are reported at once.

mod apps;
mod read;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use core_engine::event::FailedSources;
use core_engine::trial::Trial;
use core_manifest::manifest::Source;
use core_manifest::origin::Origin;
use core_manifest::{Diagnostic, Identifier, ServiceName, logins};
use core_stack::hidden::{Hidden, secret_parts};
use core_stack::{Drafts, Sources, Stack, finish};

use crate::binaries::{Asking, Locator, find_in_working_dirs};
use crate::paths::Paths;
use crate::releases;
use crate::trust::Trust;
use crate::{certificates, identity};
pub(crate) use apps::find as find_apps;
pub use read::profiles;

/// What a reading may do, and what it takes into account.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The profile; `local` by default.
    pub profile: Option<String>,
    /// Auto ports that others refer to by name, as given before; they are kept.
    pub ports: BTreeMap<(ServiceName, u32, Identifier), u16>,
    /// Ports that some process listens on now; they are not newly given.
    pub busy: BTreeSet<u16>,
    /// Ports that a process outside the stack listens on.
    pub taken: BTreeSet<u16>,
    /// Whether to generate missing secrets. A mere check must not.
    pub make_secrets: bool,
    /// Whether to run programs that a manifest names by a path, for their version. A mere check must not.
    pub runs_programs: bool,
    /// The wanted releases, by service.
    pub releases: BTreeMap<ServiceName, String>,
    /// Releases that run beside live ones, by the services that run them.
    pub trials: BTreeMap<ServiceName, Trial>,
    /// Sources that could not provide their binary, by binary and number of the source, and why.
    pub failed_sources: FailedSources,
}

/// A stack, or all its errors.
pub type Outcome = Result<Stack, Vec<Diagnostic>>;

fn values_of(drafts: &Drafts, sources: &Sources) -> BTreeMap<Origin, String> {
    let variables = drafts.env(sources).into_iter().map(|(name, value)| (Origin::Variable(name), value));
    let secrets = sources.secrets.iter().map(|(name, value)| (Origin::Secret(name.clone()), value.clone()));
    variables.chain(secrets).collect()
}

/// Reads the stack.
///
/// # Errors
/// All errors of the manifests.
pub fn load(paths: &Paths, options: &Options, locator: &mut Locator) -> Outcome {
    read(paths, options, locator).0
}

/// Like `load`, and returns the values of variables and secrets, which are known whatever else is wrong.
pub(crate) fn read(paths: &Paths, options: &Options, locator: &mut Locator) -> (Outcome, BTreeMap<Origin, String>) {
    let profile = options.profile.clone().unwrap_or_else(|| "local".to_owned());
    let mut out = Vec::new();
    let trust = Trust::of(&paths.root);
    let mut sources = read::sources(paths, &profile, &trust, &mut out);
    logins::spread(&mut sources.secrets);
    sources.trials.clone_from(&options.trials);
    // One whose release was deleted is not there any more: it is no fault of the manifests.
    sources.trials.retain(|name, _| options.releases.get(name).is_none_or(|id| releases::has_landed(paths, name, id)));
    let mut drafts = Drafts::read(&sources, &apps::Below(&paths.root), &mut out);
    let own = certificates::read(paths, &drafts, &mut out);
    sources.certificates = own.iter().map(|(name, own)| (name.clone(), own.all.clone())).collect();
    let mut announcements = secrets::ensure(paths, &drafts, &mut sources, options.make_secrets, &mut out);
    announcements.extend(drafts.move_edge(&profile, &options.ports, &options.taken));
    let asking = Asking { runs_programs: options.runs_programs, trust: &trust };
    let release = |service: &ServiceName, source: &Source, binary: &str, node: &str| {
        let wanted = options.releases.get(service).map(String::as_str);
        releases::choose(paths, service, source, wanted, binary, node, drafts.building(service, &sources))
    };
    let located = locator.locate(paths, &drafts, &sources, &options.failed_sources, &release, &asking, &mut out);
    let mut topology = finish(&mut drafts, &sources, &located, &options.ports, &options.busy, &mut out);
    if let Some(topology) = &mut topology {
        find_in_working_dirs(topology, &paths.root);
        crate::users::check(topology, &drafts, &mut out);
        crate::data::check(&paths.data(), topology, &drafts, &trust, &mut out);
        if options.make_secrets && out.is_empty() {
            certificates::store(paths, &own, identity::edge_user(topology), &mut out);
        }
        trust.check_commands(topology, &drafts, sources.env.get("PATH").map(String::as_str), &paths.dep(), &mut out);
    }
    out.sort_by_key(|one| {
        let place = one.at.as_ref().map(|span| (span.file.path.clone(), span.start));
        (place.is_none(), place)
    });
    let hidden = Hidden::default();
    hidden.learn(sources.secrets.values().cloned());
    hidden.learn(drafts.env(&sources).iter().flat_map(|(name, value)| secret_parts(name, value)));
    if let Some(topology) = &topology {
        hidden.learn_of(topology);
    }
    let values = values_of(&drafts, &sources);
    let outcome = match topology {
        Some(topology) if out.is_empty() => Ok(Stack {
            topology,
            profile,
            wanted: located.wanted.clone(),
            ports: drafts.ports.clone(),
            range: drafts.range.clone(),
            watch: drafts.watch,
            announcements,
            values: values.clone(),
            drafts,
            hidden,
        }),
        _ => {
            for fault in &mut out {
                fault.message = hidden.cover(&fault.message);
                fault.help = fault.help.as_deref().map(|help| hidden.cover(help));
            }
            Err(out)
        }
    };
    (outcome, values)
}
