//! Which servers a manifest stands for.

use core_manifest::ServiceName;
use core_manifest::manifest::config::{Arrangement, Config, Deployment};

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Where, below `config`.
    pub path: Vec<String>,
}

/// One server of a hub-spoke arrangement: a service of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of its service.
    pub name: ServiceName,
    /// The service whose manifest it comes from.
    pub manifest: ServiceName,
    /// What it is there.
    pub role: Role,
    /// Name of its region, which is its `JetStream` domain.
    pub domain: String,
}

/// What a server is in its arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of the hub.
    Hub {
        /// Its number, from 1.
        number: u32,
        /// The hub is a cluster.
        clustered: bool,
    },
    /// One of another region, linked to the hub.
    Leaf {
        /// It links to the first so many of the hub.
        links: u32,
    },
}

impl Member {
    /// The server that has the ports and the data that the manifest names.
    pub fn is_first(&self) -> bool {
        matches!(self.role, Role::Hub { number: 1, .. })
    }

    /// Whether it is one of the hub.
    pub fn is_of_hub(&self) -> bool {
        matches!(self.role, Role::Hub { .. })
    }

    /// Whether it is one of a cluster.
    pub fn is_clustered(&self) -> bool {
        matches!(self.role, Role::Hub { clustered: true, .. })
    }

    /// The ports it has besides those of the manifest.
    pub fn own_ports(&self) -> &'static [&'static str] {
        match self.role {
            Role::Hub { clustered: true, .. } => &[CLUSTER, LEAFNODES],
            Role::Hub { clustered: false, .. } => &[LEAFNODES],
            Role::Leaf { .. } => &[],
        }
    }
}

/// Port of a hub's server where the others of the hub connect.
pub(crate) const CLUSTER: &str = "cluster";
/// Port of a hub's server where servers of other regions connect.
pub(crate) const LEAFNODES: &str = "leafnodes";

/// The service that has the first server of a cluster go on with what it had stored.
///
/// # Errors
/// When that is no name.
pub fn join_of(manifest: &ServiceName) -> Result<ServiceName, String> {
    ServiceName::made(&format!("{manifest}-join"))
}

/// A server of the hub, by its number.
pub(crate) fn hub(manifest: &ServiceName, number: u32) -> Result<ServiceName, String> {
    ServiceName::made(&format!("{manifest}-hub-{number}"))
}

/// The servers that a manifest stands for in a profile; `None` when it is one server, under the manifest's own name.
///
/// # Errors
/// What is wrong with the configuration.
pub fn members(manifest: &ServiceName, config: &Config, profile: &str) -> Result<Option<Vec<Member>>, Fault> {
    if config.topology == Arrangement::SingleNode {
        return Ok(None);
    }
    let fault = |message: String, help: String, path: &[&str]| {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        Fault { message, help, path }
    };
    let Some(deployment) = config.deployment.get(profile) else {
        return Err(fault(
            format!("`{manifest}` is hub-spoke, and `deployment` says nothing of the profile `{profile}`"),
            format!("add \"{profile}\": {{\"nodes\": 1}} to it"),
            &["topology"],
        ));
    };
    let Deployment { nodes, hub_region, leaf_regions, min_hub_nodes, leaf_nodes_per_region } = deployment;
    let at = |key: &'static str| ["deployment", profile, key];
    if nodes < min_hub_nodes {
        return Err(fault(
            format!("the hub of `{manifest}` has {nodes} of at least {min_hub_nodes} servers"),
            "raise `nodes`, or lower `min_hub_nodes`".into(),
            &at("nodes"),
        ));
    }
    for (index, region) in leaf_regions.iter().enumerate() {
        let is_twice = leaf_regions[..index].contains(region) || region == hub_region;
        if is_twice {
            let message = format!("`{manifest}` has the region `{region}` twice");
            return Err(fault(message, "each region is named once".into(), &at("leaf_regions")));
        }
    }
    for (key, region) in leaf_regions.iter().map(|region| ("leaf_regions", region)).chain([("hub_region", hub_region)])
    {
        if let Err(rule) = ServiceName::new(region) {
            let message = format!("the region `{region}` of `{manifest}` {rule}");
            return Err(fault(message, "regions are named as services are: `nrt`, `eu-west`".into(), &at(key)));
        }
    }
    let made = |name: Result<ServiceName, String>| {
        name.map_err(|rule| fault(format!("a server of `{manifest}`: its name {rule}"), "rename it".into(), &[]))
    };
    let mut all = Vec::new();
    for number in 1..=*nodes {
        all.push(Member {
            name: made(hub(manifest, number))?,
            manifest: manifest.clone(),
            role: Role::Hub { number, clustered: *nodes > 1 },
            domain: hub_region.clone(),
        });
    }
    for region in leaf_regions {
        for number in 1..=*leaf_nodes_per_region {
            // Alone in its region, it is called like the region.
            let region = if *leaf_nodes_per_region == 1 { region.clone() } else { format!("{region}-{number}") };
            all.push(Member {
                name: made(ServiceName::made(&format!("{manifest}-leaf-{region}")))?,
                manifest: manifest.clone(),
                role: Role::Leaf { links: *min_hub_nodes },
                domain: region,
            });
        }
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: serde_json::Value) -> Result<Vec<String>, String> {
        let config: Config = serde_json::from_value(config).unwrap();
        let all = members(&ServiceName::new("nats").unwrap(), &config, "local");
        all.map(|all| all.unwrap_or_default().iter().map(|member| member.name.to_string()).collect())
            .map_err(|fault| format!("{}: {}", fault.path.join("."), fault.message))
    }

    #[test]
    fn each_server_is_a_service() {
        assert_eq!(names(serde_json::json!({})), Ok(vec![]));
        let deployment = serde_json::json!({"nodes": 3, "leaf_regions": ["nrt"]});
        let config = serde_json::json!({"topology": "hub-spoke", "deployment": {"local": deployment}});
        assert_eq!(names(config).unwrap(), ["nats-hub-1", "nats-hub-2", "nats-hub-3", "nats-leaf-nrt"]);
        let deployment = serde_json::json!({"leaf_regions": ["nrt"], "leaf_nodes_per_region": 2});
        let config = serde_json::json!({"topology": "hub-spoke", "deployment": {"local": deployment}});
        assert_eq!(names(config).unwrap(), ["nats-hub-1", "nats-leaf-nrt-1", "nats-leaf-nrt-2"]);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_place() {
        let wrong = |deployment: serde_json::Value| {
            names(serde_json::json!({"topology": "hub-spoke", "deployment": {"local": deployment}})).unwrap_err()
        };
        assert_eq!(
            names(serde_json::json!({"topology": "hub-spoke"})).unwrap_err(),
            "topology: `nats` is hub-spoke, and `deployment` says nothing of the profile `local`"
        );
        assert_eq!(
            wrong(serde_json::json!({"nodes": 2, "min_hub_nodes": 3})),
            "deployment.local.nodes: the hub of `nats` has 2 of at least 3 servers"
        );
        assert_eq!(
            wrong(serde_json::json!({"leaf_regions": ["nrt", "nrt"]})),
            "deployment.local.leaf_regions: `nats` has the region `nrt` twice"
        );
        assert!(wrong(serde_json::json!({"leaf_regions": ["NRT"]})).contains("must begin with a small letter"));
    }
}
