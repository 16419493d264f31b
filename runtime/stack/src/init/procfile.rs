//! `Procfile`: a name and a shell line each.

use serde_json::json;

use super::{Project, Proposal, Service, escaped, web_service};

pub(super) fn look(project: &Project, services: &mut Vec<Service>, proposal: &mut Proposal) {
    let Some(text) = &project.procfile else { return };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, command)) = line.split_once(':').map(|(name, command)| (name.trim(), command.trim())) else {
            proposal.listed.push(format!("Procfile: `{line}` is not `name: command`"));
            continue;
        };
        // The platforms that read such files run this one before a release, and not as a service.
        if name == "release" {
            proposal.listed.push(format!("Procfile: `release` ({command}) is run by nobody; run it by hand"));
            continue;
        }
        proposal.found.push(format!("Procfile: {name}"));
        let command = escaped(command);
        let manifest =
            if name == "web" { web_service(&command) } else { json!({"process": {"command": command, "shell": true}}) };
        services.push(Service { name: name.to_owned(), manifest });
    }
}
