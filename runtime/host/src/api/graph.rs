//! The services of a stack and what leads from one to another.

use core_engine::Topology;
use core_manifest::ServiceSpec;
use core_manifest::spec::Route;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/graph`: what the stack runs by; an edit that was not applied is not yet in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Graph {
    /// All services, by name. None while no manifests were ever good.
    pub services: Vec<GraphService>,
}

/// One service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GraphService {
    /// `web`
    pub service: String,
    /// How many replicas there are to be.
    pub replicas: u32,
    /// Whether it is not to be started.
    pub disabled: bool,
    /// Whether it is the edge, which all routes lead from.
    pub is_edge: bool,
    /// What it depends on.
    pub depends_on: Vec<GraphDependency>,
    /// What the edge sends to it, as people write it: `example.com/api`. None without an edge.
    pub routes: Vec<String>,
}

/// Something a service depends on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GraphDependency {
    /// The other service.
    pub service: String,
    /// Until when it waits: `process_healthy`.
    pub condition: String,
}

impl Graph {
    /// Of a topology.
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

/// What a route takes.
fn routes(route: &Route) -> Vec<String> {
    let or = |all: &[String], one: &str| if all.is_empty() { vec![one.to_owned()] } else { all.to_vec() };
    let (hosts, paths) = (or(&route.hosts, ""), or(&route.paths, "/"));
    hosts.iter().flat_map(|host| paths.iter().map(move |path| format!("{host}{path}"))).collect()
}
