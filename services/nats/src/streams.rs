//! What happens to the streams when a server joins or leaves a cluster: which requests, and how answers are judged.
//!
//! A server that was alone has streams that the cluster does not know when it joins; after half a minute the server
//! would delete them as orphans. A stream that is created with the same configuration and placed on that server takes
//! over what is stored there, and so do its consumers.
//!
//! A server that leaves first makes sure that it has no streams. A stream with more copies than there will be servers
//! gets fewer, and one that is still on the server is placed among those that stay, until it has moved.
//!
//! Requests and answers are those of the `JetStream` API:
//! <https://docs.nats.io/reference/reference-protocols/nats_api_reference>

use serde_json::{Value, json};

use crate::conf::{FIRST, tag_of_first};

/// A request to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The subject of the request.
    pub subject: String,
    /// The body as JSON; empty if the subject says everything.
    pub body: String,
}

impl Request {
    fn new(subject: impl Into<String>, body: &Value) -> Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Self { subject: format!("$JS.API.{}", subject.into()), body }
    }
}

/// An answer of the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was done.
    Good(Value),
    /// Not possible now; a later attempt may succeed.
    Later(String),
    /// It was refused.
    Bad {
        /// The error code.
        code: u64,
        /// The error text of the server.
        message: String,
    },
}

/// The server is not in the cluster, or not any more.
pub const NO_MEMBER: u64 = 10_044;
/// The stream does not exist.
pub const NO_STREAM: u64 = 10_059;
/// No suitable server yet, and: a change of the stream is in progress.
const PASSING: [u64; 2] = [10_005, 10_226];

/// Classifies an answer.
pub fn judge(answer: &str) -> Answer {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else {
        return Answer::Bad { code: 0, message: format!("no answer of the API: {answer}") };
    };
    let Some(error) = answer.get("error") else { return Answer::Good(answer) };
    let code = error["err_code"].as_u64().unwrap_or(0);
    let message = error["description"].as_str().unwrap_or("no reason given").to_owned();
    // 503: there is no leader at the moment.
    if error["code"] == 503 || PASSING.contains(&code) { Answer::Later(message) } else { Answer::Bad { code, message } }
}

/// A stream that a server has stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Name of the stream.
    pub name: String,
    /// Number of messages in it.
    pub messages: u64,
    config: Value,
    consumers: Vec<Value>,
}

/// The page of the monitoring port that lists what a server has stored, and its state in the cluster.
pub const STORED: &str = "/jsz?accounts=true&streams=true&consumers=true&config=true";

/// The streams that a server has, from that page.
pub fn stored(page: &Value) -> Vec<Stored> {
    let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let streams = all(page, "account_details").into_iter().flat_map(|account| all(&account, "stream_detail"));
    let read = |stream: Value| Stored {
        name: stream["name"].as_str().unwrap_or_default().to_owned(),
        messages: stream["state"]["messages"].as_u64().unwrap_or(0),
        config: stream["config"].clone(),
        consumers: all(&stream, "consumer_detail").iter().map(|consumer| consumer["config"].clone()).collect(),
    };
    streams.map(read).collect()
}

/// Whether the server is the only one left in its cluster, from the same page.
pub fn is_last(page: &Value) -> bool {
    page["meta_cluster"]["cluster_size"] == 1
}

impl Stored {
    /// The request that creates it in the cluster, placed on the first server of the hub, which has its data.
    pub fn create(&self) -> Request {
        let mut config = self.released();
        config["placement"] = json!({"tags": [tag_of_first(1)]});
        Request::new(format!("STREAM.CREATE.{}", self.name), &config)
    }

    /// The requests that create its consumers.
    pub fn create_consumers(&self) -> impl Iterator<Item = Request> + '_ {
        self.consumers.iter().filter_map(|config| {
            let name = config["name"].as_str().or(config["durable_name"].as_str())?;
            let body = json!({"stream_name": self.name, "config": config});
            Some(Request::new(format!("CONSUMER.CREATE.{}.{name}", self.name), &body))
        })
    }

    /// The request that removes the placement it was created with; it stays where it is until it is moved.
    pub fn release(&self) -> Request {
        Request::new(format!("STREAM.UPDATE.{}", self.name), &self.released())
    }

    fn released(&self) -> Value {
        let mut config = self.config.clone();
        config["num_replicas"] = json!(1);
        config
    }

    /// The request for its state in the cluster.
    pub fn info(&self) -> Request {
        info(&self.name)
    }
}

/// The request for the state of a stream.
pub fn info(stream: &str) -> Request {
    Request::new(format!("STREAM.INFO.{stream}"), &Value::Null)
}

/// The request for the names of the streams, from this index on.
pub fn names(from: usize) -> Request {
    Request::new("STREAM.NAMES", &json!({"offset": from}))
}

/// The request that removes a server from the cluster; made by the system account.
pub fn remove(server: &str) -> Request {
    Request::new("SERVER.REMOVE", &json!({"peer": server}))
}

/// The servers that stay.
#[derive(Clone, Copy, Debug)]
pub struct Staying<'a> {
    /// Prefix of the names of the hub's servers: `nats-hub`.
    pub hub: &'a str,
    /// Number of servers that stay, counted from the first.
    pub count: u32,
}

/// The next step towards having a stream only on servers that stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to do.
    Done,
    /// Wait until the cluster has finished an earlier request.
    Wait,
    /// Send this request.
    Ask(Request),
}

/// The next step for a stream with the state `info`. `as_found` is its configuration before the first step.
pub fn next(info: &Value, as_found: &Value, staying: Staying<'_>) -> Step {
    let (config, cluster) = (&info["config"], &info["cluster"]);
    let Some(leader) = cluster["leader"].as_str().filter(|leader| !leader.is_empty()) else { return Step::Wait };
    let others = cluster["replicas"].as_array().map_or(&[][..], Vec::as_slice);
    let copies = config["num_replicas"].as_u64().unwrap_or(1).max(1);
    let is_settled = others.len() as u64 + 1 == copies
        && others.iter().all(|other| other["current"] == true && other["offline"] != true);
    if !is_settled {
        return Step::Wait;
    }
    let update = |config: Value| Step::Ask(Request::new(format!("STREAM.UPDATE.{}", name_of(&config)), &config));
    if copies > u64::from(staying.count) {
        let mut config = config.clone();
        config["num_replicas"] = json!(staying.count);
        return update(config);
    }
    let mut servers = others.iter().filter_map(|other| other["name"].as_str()).chain([leader]);
    let tags = json!([tag_of_first(staying.count)]);
    if !servers.all(|server| stays(server, staying)) {
        if config["placement"]["tags"] == tags {
            return Step::Wait;
        }
        let mut config = config.clone();
        config["placement"] = json!({"tags": tags});
        return update(config);
    }
    if config["placement"]["tags"] == tags {
        let mut config = config.clone();
        // A placement that an earlier attempt requested was not set by a user, so it is not restored.
        match as_found.get("placement").filter(|placement| !is_of_first(placement)) {
            Some(placement) => config["placement"] = placement.clone(),
            None => config.as_object_mut().map(|config| config.remove("placement")).map_or((), drop),
        }
        return update(config);
    }
    Step::Done
}

fn is_of_first(placement: &Value) -> bool {
    let mut tags = placement["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    tags.any(|tag| tag.starts_with(FIRST))
}

fn name_of(config: &Value) -> &str {
    config["name"].as_str().unwrap_or_default()
}

/// Whether a server is one of those that stay. A server outside the hub does not matter.
fn stays(server: &str, staying: Staying<'_>) -> bool {
    let number = server.strip_prefix(staying.hub).and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
    number.is_none_or(|number| number <= staying.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_STAY: Staying<'_> = Staying { hub: "nats-hub", count: 2 };
    const ONE_STAYS: Staying<'_> = Staying { hub: "nats-hub", count: 1 };

    fn info(copies: u64, servers: &[&str], tags: &[&str]) -> Value {
        let others: Vec<Value> =
            servers[1..].iter().map(|name| json!({"name": format!("nats-hub-{name}"), "current": true})).collect();
        let mut config = json!({"name": "S", "subjects": ["s.>"], "num_replicas": copies});
        if !tags.is_empty() {
            config["placement"] = json!({"tags": tags});
        }
        json!({"config": config, "cluster": {"leader": format!("nats-hub-{}", servers[0]), "replicas": others}})
    }

    fn asked(step: Step) -> Value {
        let Step::Ask(request) = step else { panic!("nothing is asked: {step:?}") };
        assert_eq!(request.subject, "$JS.API.STREAM.UPDATE.S");
        serde_json::from_str(&request.body).unwrap()
    }

    #[test]
    fn what_is_only_on_servers_that_stay_is_left_alone() {
        let found = info(2, &["1", "2"], &[]);
        assert_eq!(next(&found, &found["config"], TWO_STAY), Step::Done);
        let placed_by_hand = info(1, &["1"], &["fast"]);
        assert_eq!(next(&placed_by_hand, &placed_by_hand["config"], TWO_STAY), Step::Done);
    }

    #[test]
    fn copies_come_down_then_the_stream_moves_then_its_place_is_forgotten() {
        let found = info(3, &["3", "1", "2"], &["fast"]);
        let step = |now: &Value| next(now, &found["config"], ONE_STAYS);
        assert_eq!(asked(step(&found))["num_replicas"], 1);
        assert_eq!(step(&info(1, &["3", "1"], &["fast"])), Step::Wait, "the cluster has not done so yet");
        assert_eq!(asked(step(&info(1, &["3"], &["fast"])))["placement"], json!({"tags": ["first-1"]}));
        assert_eq!(step(&info(1, &["3"], &["first-1"])), Step::Wait);
        assert_eq!(asked(step(&info(1, &["1"], &["first-1"])))["placement"], json!({"tags": ["fast"]}));
        assert_eq!(step(&info(1, &["1"], &["fast"])), Step::Done);
    }

    #[test]
    fn a_place_of_an_attempt_that_was_cut_short_is_nobodys_wish() {
        let found = info(1, &["1"], &["first-1"]);
        assert_eq!(asked(next(&found, &found["config"], ONE_STAYS)).get("placement"), None);
    }

    #[test]
    fn a_place_that_nobody_had_asked_for_is_taken_away() {
        let found = info(1, &["2"], &[]);
        let moved = info(1, &["1"], &["first-1"]);
        assert_eq!(asked(next(&moved, &found["config"], ONE_STAYS)).get("placement"), None);
    }

    #[test]
    fn nothing_is_asked_of_a_stream_that_is_not_settled() {
        let mut behind = info(2, &["3", "1"], &[]);
        behind["cluster"]["replicas"][0]["current"] = json!(false);
        assert_eq!(next(&behind, &behind["config"], ONE_STAYS), Step::Wait);
        let mut leaderless = info(1, &["3"], &[]);
        leaderless["cluster"]["leader"] = json!("");
        assert_eq!(next(&leaderless, &leaderless["config"], ONE_STAYS), Step::Wait);
    }

    #[test]
    fn what_was_stored_is_created_as_it_was() {
        let page = json!({"account_details": [{"name": "$G", "stream_detail": [{
            "name": "S", "config": {"name": "S", "subjects": ["s.>"], "num_replicas": 3}, "state": {"messages": 7},
            "consumer_detail": [{"name": "C", "config": {"name": "C", "durable_name": "C"}}]
        }]}]});
        let all = stored(&page);
        assert_eq!((all[0].name.as_str(), all[0].messages), ("S", 7));
        let create = all[0].create();
        assert_eq!(create.subject, "$JS.API.STREAM.CREATE.S");
        let body: Value = serde_json::from_str(&create.body).unwrap();
        assert_eq!((&body["num_replicas"], &body["placement"]), (&json!(1), &json!({"tags": ["first-1"]})));
        let consumers: Vec<Request> = all[0].create_consumers().collect();
        assert_eq!(consumers[0].subject, "$JS.API.CONSUMER.CREATE.S.C");
    }

    #[test]
    fn answers_are_told_apart() {
        let error = |code: u64, err_code: u64| {
            json!({"error": {"code": code, "err_code": err_code, "description": "x"}}).to_string()
        };
        assert_eq!(judge(&error(503, 10_008)), Answer::Later("x".into()));
        assert_eq!(judge(&error(400, 10_226)), Answer::Later("x".into()));
        assert_eq!(judge(&error(404, NO_STREAM)), Answer::Bad { code: NO_STREAM, message: "x".into() });
        assert_eq!(judge("{}"), Answer::Good(json!({})));
    }
}
