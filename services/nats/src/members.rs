//! The servers that a manifest stands for.

use core_manifest::ServiceName;
use core_manifest::manifest::config::{Arrangement, Config, Deployment};

/// An error in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: String,
    /// The path of the value, below `config`.
    pub path: Vec<String>,
}

/// One server of a hub-spoke arrangement, which is a service of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of its service.
    pub name: ServiceName,
    /// The service whose manifest it comes from.
    pub manifest: ServiceName,
    /// Its role in the arrangement.
    pub role: Role,
    /// The name of its region, which is its `JetStream` domain.
    pub domain: String,
}

/// The role of a server in its arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server of the hub.
    Hub {
        /// Its number, from 1.
        number: u32,
        /// Whether the hub is a cluster.
        clustered: bool,
    },
    /// A server of another region, linked to the hub.
    Leaf {
        /// The number of hub servers, counted from the first, that it links to.
        links: u32,
    },
}

impl Member {
    /// Whether it is the server with the ports and the data that the manifest names.
    pub fn is_first(&self) -> bool {
        matches!(self.role, Role::Hub { number: 1, .. })
    }

    /// Whether it belongs to the hub.
    pub fn is_of_hub(&self) -> bool {
        matches!(self.role, Role::Hub { .. })
    }

    /// Whether it belongs to a cluster.
    pub fn is_clustered(&self) -> bool {
        matches!(self.role, Role::Hub { clustered: true, .. })
    }

    /// The ports that it has in addition to those of the manifest.
    pub fn own_ports(&self) -> &'static [&'static str] {
        match self.role {
            Role::Hub { clustered: true, .. } => &[CLUSTER, LEAFNODES],
            Role::Hub { clustered: false, .. } => &[LEAFNODES],
            Role::Leaf { .. } => &[],
        }
    }
}

/// The port of a hub server for the other servers of the hub.
pub(crate) const CLUSTER: &str = "cluster";
/// The port of a hub server for servers of other regions.
pub(crate) const LEAFNODES: &str = "leafnodes";

/// The service that lets the first server of a cluster keep the data that it had stored.
///
/// # Errors
/// When the result is not a valid name.
pub fn join_of(manifest: &ServiceName) -> Result<ServiceName, String> {
    ServiceName::made(&format!("{manifest}-join"))
}

/// The service name of a hub server, by its number.
pub(crate) fn hub(manifest: &ServiceName, number: u32) -> Result<ServiceName, String> {
    ServiceName::made(&format!("{manifest}-hub-{number}"))
}

/// The servers that a manifest stands for in a profile; `None` if it is one server under the manifest's own name.
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
            // A region with a single server gives it its name; otherwise the servers are numbered.
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
