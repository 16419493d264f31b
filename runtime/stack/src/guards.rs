//! Services that the edge asks who is let in: it has to know where they are.

use std::collections::BTreeMap;

use core_engine::topology::Places as _;
use core_manifest::name::nearest;
use core_manifest::spec::{Asked, Auth};
use core_manifest::{Diagnostic, ServiceName, ServiceSpec};

use crate::draft::Drafts;

/// Reports services that are to be asked and have no route. Errors go to `out`.
pub(crate) fn check(specs: &BTreeMap<ServiceName, ServiceSpec>, drafts: &Drafts, out: &mut Vec<Diagnostic>) {
    for spec in specs.values().filter(|spec| !spec.name.is_trial()) {
        let of_route = spec.route.as_ref().map(|route| ("route", &route.terms));
        for (part, terms) in of_route.into_iter().chain([("config", &spec.edge.terms)]) {
            let Some(Auth::Forward { asked: Asked::Service { name, .. }, .. }) = &terms.auth else { continue };
            // What is wrong with it was said already.
            if drafts.faulty.contains(name.as_str()) || specs.get(name).is_some_and(|asked| asked.route.is_some()) {
                continue;
            }
            let (message, help) = if specs.contains_key(name) {
                let help =
                    format!("give `{name}` a route, or name its address: {{\"url\": \"http://127.0.0.1:PORT/PATH\"}}");
                (format!("the edge does not know where `{name}` is: it has no route"), help)
            } else {
                let known = specs.keys().map(ServiceName::as_str);
                let help = nearest(name.as_str(), known).map_or_else(
                    || format!("add services/{name}/service.json"),
                    |guess| format!("did you mean `{guess}`?"),
                );
                (format!("there is no service `{name}` to ask"), help)
            };
            let at = drafts.span(&spec.name, &[part, "auth", "forward", "service"]);
            out.push(Diagnostic::new("bad-auth", message).at_opt(at).service(spec.name.as_str()).help(help));
        }
    }
}
