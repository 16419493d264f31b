//! The services of a stack, with their dependencies and routes.

use core_engine::Topology;
use core_manifest::ServiceSpec;
use core_manifest::spec::Route;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/graph`: the topology that the stack runs; an edit that was not applied is not yet in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Graph {
    /// All services, by name. Empty until the manifests have been valid once.
    pub services: Vec<GraphService>,
}

/// One service of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GraphService {
    /// The name of the service: `web`.
    pub service: String,
    /// How many replicas it should have.
    pub replicas: u32,
    /// Whether it is disabled, so that it is not started.
    pub disabled: bool,
    /// Whether it is the edge, which all routes start from.
    pub is_edge: bool,
    /// The services that it depends on.
    pub depends_on: Vec<GraphDependency>,
    /// The routes from the edge to it, as people write them: `example.com/api`. Empty without an edge.
    pub routes: Vec<String>,
}

/// A dependency of a service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GraphDependency {
    /// The service that is depended on.
    pub service: String,
    /// The condition to wait for: `process_healthy`.
    pub condition: String,
}

impl Graph {
    /// The graph of a topology.
    pub fn of(topology: &Topology) -> Self {
        let edge = topology.edge().map(|spec| &spec.name);
        let service = |spec: &ServiceSpec| GraphService {
            service: spec.name.to_string(),
            replicas: spec.replicas,
            disabled: spec.disabled,
            is_edge: edge == Some(&spec.name),
            depends_on: spec
                .depends_on
                .iter()
                .map(|(name, condition)| GraphDependency {
                    service: name.to_string(),
                    condition: condition.word().to_owned(),
                })
                .collect(),
            routes: spec.route.iter().filter(|_| edge.is_some()).flat_map(routes).collect(),
        };
        Self { services: topology.services.values().map(|spec| service(spec)).collect() }
    }
}

/// The hosts and paths of a route, as people write them.
fn routes(route: &Route) -> Vec<String> {
    let or = |all: &[String], one: &str| if all.is_empty() { vec![one.to_owned()] } else { all.to_vec() };
    let (hosts, paths) = (or(&route.hosts, ""), or(&route.paths, "/"));
    hosts.iter().flat_map(|host| paths.iter().map(move |path| format!("{host}{path}"))).collect()
}
