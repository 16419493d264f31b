//! `x-core`: settings without a counterpart in process-compose. Pure.

use std::time::Duration;

use core_manifest::spec::{Probe, Protocol, Strategy};
use core_manifest::tree::Node;
use serde_json::{Map, Value, json};

use super::making::Making;
use super::text::Text;

/// What else core knows about a slot.
pub(super) fn of(making: &Making<'_>, notes: Vec<String>) -> Value {
    let spec = making.slot.spec;
    let mut all = Map::new();
    all.insert("service".into(), json!(spec.name.as_str()));
    if spec.replicas > 1 && !making.stands_for_all {
        all.insert("replica".into(), json!(making.slot.replica));
    }
    if spec.kind.has_driver() {
        all.insert("kind".into(), json!(spec.kind));
    }
    if let Some(release) = &spec.release {
        all.insert("release".into(), json!(release));
    }
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Object(entries) => entries.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            other => other.is_null(),
        };
        if !is_empty {
            all.insert(key.into(), value);
        }
    };
    put("binaries", binaries(making));
    put("ports", ports(making));
    put("route", route(making));
    put("identity", identity(making));
    if spec.route.is_some() || making.node(&["update"]).is_some() {
        put("update", update(making));
    }
    put("exact_seconds", exact_seconds(making));
    put("notes", Value::Array(notes.into_iter().map(|note| Text::read(making.variables, &note).plain()).collect()));
    Value::Object(all)
}

fn binaries(making: &Making<'_>) -> Value {
    let all = making.slot.spec.binaries.iter().map(|(name, binary)| {
        let path = Text::read(making.variables, &binary.path).plain();
        let mut one = json!({"path": path, "source": binary.source});
        if !binary.version.is_empty() {
            one["version"] = Text::read(making.variables, &binary.version).plain();
        }
        (name.to_string(), one)
    });
    Value::Object(all.collect())
}

fn ports(making: &Making<'_>) -> Value {
    let all = making.slot.spec.ports.iter().map(|(name, port)| {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Udp => "udp",
        };
        let mut one = json!({"port": making.slot.port_number(name), "protocol": protocol, "address": port.address});
        for (key, is_so) in [("auto", port.number.is_none()), ("hold", port.hold)] {
            if is_so {
                one[key] = json!(true);
            }
        }
        (name.to_string(), one)
    });
    Value::Object(all.collect())
}

fn route(making: &Making<'_>) -> Value {
    let Some(route) = &making.slot.spec.route else { return Value::Null };
    let texts = |key: &str, default: &[String]| -> Vec<Value> {
        match making.node(&["route", key]) {
            Some(list) => {
                let text = |node: &Node| Text::of_node(making.variables, node, making.slot).plain();
                list.elements().iter().map(text).collect()
            }
            None => default.iter().map(|text| read(making, text)).collect(),
        }
    };
    let hosts = texts("hosts", &route.hosts);
    let mut all = json!({"paths": texts("paths", &route.paths), "port": route.port.as_str()});
    if !hosts.is_empty() {
        all["hosts"] = Value::Array(hosts);
    }
    if route.strip_prefix {
        all["strip_prefix"] = json!(true);
    }
    if !route.local_origin.is_empty() {
        all["local_origin"] = json!(texts("local_origin", &route.local_origin));
    }
    all
}

fn identity(making: &Making<'_>) -> Value {
    let identity = &making.slot.spec.identity;
    let mut all = Map::new();
    for (key, is_there) in [("user", identity.user.is_some()), ("group", identity.group.is_some())] {
        if is_there {
            all.insert(key.into(), making.written(&["process", key]).plain());
        }
    }
    if let Some(umask) = identity.umask {
        all.insert("umask".into(), json!(format!("{umask:03o}")));
    }
    if !identity.limits.is_empty() {
        let limit = |limit: &Option<u64>| limit.map_or(json!("unlimited"), |most| json!(most));
        let limits = identity.limits.iter().map(|(name, most)| (name.clone(), limit(most)));
        all.insert("limits".into(), Value::Object(limits.collect()));
    }
    if let Some(nice) = identity.nice {
        all.insert("nice".into(), json!(nice));
    }
    if let Some(adjustment) = identity.oom_score_adj {
        all.insert("oom_score_adj".into(), json!(adjustment));
    }
    Value::Object(all)
}

fn update(making: &Making<'_>) -> Value {
    let update = &making.slot.spec.update;
    let strategy = match update.strategy {
        Strategy::Swap => "swap",
        Strategy::Restart => "restart",
        Strategy::Rolling => "rolling",
    };
    json!({
        "strategy": strategy,
        "successes": update.successes,
        "ready_seconds": update.ready.as_secs_f64(),
        "observe_seconds": update.observe.as_secs_f64(),
        "ramp_seconds": update.ramp.as_secs_f64(),
        "drain_seconds": update.drain.as_secs_f64(),
        "warm_minutes": update.warm.as_secs_f64() / 60.0,
    })
}

/// Times from the manifest that had to be rounded up.
fn exact_seconds(making: &Making<'_>) -> Value {
    let spec = making.slot.spec;
    let mut all = Map::new();
    let mut put = |part: &str, key: &str, time: Duration| {
        if time.subsec_nanos() > 0 && making.node(&["process", "compose", part, key]).is_some() {
            all.insert(format!("{part}.{key}"), json!(time.as_secs_f64()));
        }
    };
    put("availability", "backoff_seconds", spec.availability.backoff);
    put("shutdown", "timeout_seconds", spec.shutdown.timeout);
    for (part, probe) in [("readiness_probe", &spec.readiness), ("liveness_probe", &spec.liveness)] {
        let Some(Probe { initial_delay, period, timeout, .. }) = probe else { continue };
        put(part, "initial_delay_seconds", *initial_delay);
        put(part, "period_seconds", *period);
        put(part, "timeout_seconds", *timeout);
    }
    Value::Object(all)
}

fn read(making: &Making<'_>, text: &str) -> Value {
    Text::read(making.variables, text).plain()
}
