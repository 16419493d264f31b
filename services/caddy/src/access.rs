//! The access log: one line for each request that a service answered. No header is in it but the two that are named here, and no
//! query: what a client keeps to itself is in none of the files of a stack. (`tests/edge/access.rs` looks for it.)

use core_manifest::ServiceSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Wiring;

/// The folder of the logs, in the folder of the edge's data, with a file of each instance: the name of the instance and
/// [`ENDING`]. Those that it has rolled have the time of that before the ending.
///
/// Not in the run folder, which is emptied with each start; and not beside the logs of services, where an edge with a user of
/// its own may not write.
pub const FOLDER: &str = "access";
/// Ending of the names of these files.
pub const ENDING: &str = ".log";

/// What Caddy's names of these loggers begin with; the service follows. Requests that are not for a service (redirects,
/// challenges of a CA, what no route is for) have another logger, which nobody writes down.
const LOGGER: &str = "http.log.access.to";
/// The last part of it.
const TO: &str = "to";
/// What a path and the query after it look like, or the address of a page with a query or a fragment.
const QUERY: &str = "[?#].*";

/// The log of Caddy that is written for core.
pub(crate) fn log(edge: &ServiceSpec, data: &str) -> Value {
    let limits = &edge.log;
    let mut writer = json!({
        "output": "file",
        "filename": format!("{data}/{}/{FOLDER}/@INSTANCE@{ENDING}", edge.name),
        "roll_size_mb": (limits.segment_bytes >> 20).max(1),
        // Beside the one that is written; without a limit, Caddy would have one of its own.
        "roll_keep": match limits.keep_segments { 0 => 1_000_000, keep => keep.saturating_sub(1).max(1) },
        "roll_gzip": false,
    });
    if limits.keep_days > 0 {
        writer["roll_keep_days"] = limits.keep_days.into();
    }
    let delete = || json!({"filter": "delete"});
    json!({
        "writer": writer,
        "include": [LOGGER],
        "encoder": {
            "format": "filter",
            "wrap": {"format": "json", "message_key": "", "level_key": ""},
            "fields": {
                "request>headers": delete(),
                "request>uri": without_query(),
                "request>remote_ip": delete(),
                "request>remote_port": delete(),
                "request>transfer_encoding": delete(),
                "request>tls": delete(),
                "resp_headers": delete(),
                "user_id": delete(),
                "bytes_read": delete(),
                "referer": without_query(),
            },
        },
    })
}

/// The log of everything else that Caddy says, without queries and headers where it names a request.
pub(crate) fn others() -> Value {
    json!({
        "level": "WARN",
        "exclude": ["http.log.access"],
        "encoder": {
            "format": "filter",
            "wrap": {"format": "json"},
            "fields": {"request>uri": without_query(), "request>headers": {"filter": "delete"}},
        },
    })
}

fn without_query() -> Value {
    json!({"filter": "regexp", "regexp": QUERY, "value": ""})
}

/// The headers that are written down. An answer that its service does not bring to its end has none of them: Caddy adds fields
/// when all has gone well.
pub(crate) fn headers() -> Value {
    let fields = [("user_agent", "{http.request.header.User-Agent}"), ("referer", "{http.request.header.Referer}")];
    let handle = fields.map(|(key, value)| field(key, value));
    json!({"handle": handle})
}

fn field(key: &str, value: &str) -> Value {
    json!({"handler": "log_append", "key": key, "value": value})
}

/// Whether there is one. Without core, nobody would read it.
pub(crate) fn is_on(edge: &ServiceSpec, wiring: Wiring<'_>) -> bool {
    !edge.edge.unlogged && matches!(wiring, Wiring::Held)
}

/// A handler that says which service a request is for: only then is it written down.
pub(crate) fn of(edge: &ServiceSpec, spec: &ServiceSpec, wiring: Wiring<'_>) -> Option<Value> {
    let note = || json!({"handler": "vars", "access_logger_names": [format!("{TO}.{}", spec.name)]});
    is_on(edge, wiring).then(note)
}

/// A handler that says which preview of it; `name` is Caddy's placeholder for that.
pub(crate) fn of_preview(edge: &ServiceSpec, name: &str) -> Option<Value> {
    is_on(edge, Wiring::Held).then(|| field("preview", name))
}

/// A request that a service answered, or the edge for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// When the answer ended, in nanoseconds since 1970.
    pub wall_ns: u64,
    /// The service: `web`, or `web~pr-12` for a preview of it.
    pub service: String,
    /// `GET`.
    pub method: String,
    /// The host that was asked for, without a port.
    pub host: String,
    /// The path as it was asked for, without the query.
    pub path: String,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body, as they were sent.
    pub bytes: u64,
    /// How long it took; 0 if the service did not bring it to its end.
    pub seconds: f64,
    /// Address of the client, as `trusted_proxies` say.
    pub client: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The page that it was asked for by, without the query.
    pub referer: String,
}

/// A line as Caddy writes it.
#[derive(Deserialize)]
struct Line {
    ts: f64,
    logger: String,
    #[serde(default)]
    preview: Option<String>,
    request: Request,
    status: u16,
    size: u64,
    duration: f64,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    referer: String,
}

#[derive(Deserialize)]
struct Request {
    client_ip: String,
    proto: String,
    method: String,
    host: String,
    uri: String,
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // The colons of an address are in brackets.
    host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(host, _)| host)
}

impl Entry {
    /// Reads a line. Where the one before it was cut short by a kill, the two stand in one: what is whole counts.
    pub fn parse(line: &str) -> Option<Self> {
        let whole = serde_json::from_str(line).ok();
        let line: Line =
            whole.or_else(|| serde_json::from_str(&line[line.rfind("{\"ts\":").filter(|at| *at > 0)?..]).ok())?;
        let service = line.logger.strip_prefix(LOGGER)?.strip_prefix('.')?;
        let service = match line.preview.filter(|name| !name.is_empty()) {
            Some(preview) => format!("{service}~{preview}"),
            None => service.to_owned(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time after 1970, for long enough"
        )]
        let micros = (line.ts * 1e6).round() as u64;
        Some(Self {
            wall_ns: micros * 1000,
            service,
            host: without_port(&line.request.host).to_owned(),
            method: line.request.method,
            path: line.request.uri,
            protocol: line.request.proto,
            // Go answers 200 where nobody has said anything.
            status: if line.status == 0 { 200 } else { line.status },
            bytes: line.size,
            seconds: line.duration,
            client: line.request.client_ip,
            user_agent: line.user_agent,
            referer: line.referer,
        })
    }

    /// Whether the service brought the answer to its end.
    pub fn is_complete(&self) -> bool {
        self.seconds > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"ts":1700000000.25,"logger":"http.log.access.to.web","duration":0.0015,"size":12,"status":200,"request":{"client_ip":"192.0.2.1","proto":"HTTP/1.1","method":"GET","host":"a.example:8080","uri":"/x"},"user_agent":"curl","referer":""}"#;

    #[test]
    fn a_line_is_read() {
        let entry = Entry::parse(LINE).unwrap();
        assert_eq!((entry.service.as_str(), entry.status, entry.bytes), ("web", 200, 12));
        assert_eq!((entry.wall_ns, entry.seconds), (1_700_000_000_250_000_000, 0.0015));
        assert_eq!((entry.client.as_str(), entry.host.as_str(), entry.path.as_str()), ("192.0.2.1", "a.example", "/x"));
        assert!(entry.is_complete());
        assert_eq!([without_port("[::1]:80"), without_port("[::1]"), without_port("a")], ["[::1]", "[::1]", "a"]);
        let preview = LINE.replace("\"request\"", "\"preview\":\"pr-12\",\"request\"");
        assert_eq!(Entry::parse(&preview).unwrap().service, "web~pr-12");
    }

    #[test]
    fn what_was_cut_short_costs_itself_alone() {
        for cut in [1, 10, 60, LINE.len() - 1] {
            let joined = format!("{}{LINE}", &LINE[..cut]);
            assert_eq!(Entry::parse(&joined), Entry::parse(LINE), "{joined}");
            assert_eq!(Entry::parse(&LINE[..cut]), None);
        }
        assert_eq!(Entry::parse(&LINE.replace(".to.web", "")), None, "for nobody");
    }
}
