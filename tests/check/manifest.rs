//! Faults within one manifest.

use crate::faults;

const WEB: &str = "services/web/service.json";

faults! {
    syntax: WEB => r#"{
  "process": {
    "command": "sleep",
    "args": ["1000"
  }
}"#;
    syntax_trailing_comma: WEB => r#"{"process": {"command": "sleep",}}"#;
    empty_file: WEB => "";
    not_an_object: WEB => r#"["sleep", "1000"]"#;
    duplicate_key: WEB => r#"{
  "process": {"command": "sleep"},
  "process": {"command": "true"}
}"#;
    unknown_key: WEB => r#"{
  "process": {"command": "sleep", "arguments": ["1000"]},
  "port": {"http": {"port": 8080}}
}"#;
    unknown_key_deep_inside: WEB => r#"{
  "process": {"command": "sleep", "compose": {"readiness_probe": {"http_get": {"uri": "http://127.0.0.1/"}}}}
}"#;
    missing_key: WEB => r#"{"process": {"args": ["1000"]}}"#;
    wrong_type: WEB => r#"{"process": {"command": ["sleep", "1000"], "args": "1000"}}"#;
    wrong_value: WEB => r#"{"process": {"command": "sleep", "compose": {"availability": {"restart": "sometimes"}}}}"#;
    number_out_of_range: WEB => r#"{"process": {"command": "sleep"}, "ports": {"http": {"port": 80800}}}"#;
    negative_time: WEB => r#"{"process": {"command": "sleep", "compose": {"shutdown": {"timeout_seconds": -1}}}}"#;
    unknown_kind: WEB => r#"{"kind": "cady", "process": {"command": "sleep"}}"#;
    unknown_placeholder: WEB => r#"{"process": {"command": "sleep", "args": ["${dta}/x", "${port.htp}"]},
  "ports": {"http": {"port": "auto"}}}"#;
    unclosed_placeholder: WEB => r#"{"process": {"command": "sleep", "args": ["${port.http"]}}"#;
    unset_variable: WEB => r#"{"process": {"command": "sleep", "args": ["${env.CORE_TEST_NOT_SET}"]}}"#;
    unknown_binary: WEB => r#"{
  "binaries": [{"name": "node", "source": "path", "version": ">=1"}],
  "process": {"command": "${dep.nod}"}
}"#;
    unknown_secret: WEB => r#"{"process": {"command": "sleep", "env": {"KEY": "${secret.stripe}"}}}"#;
    absent_binary: WEB => r#"{
  "binaries": [{"name": "tool", "sources": [{"source": "path", "program": "no-such-program-here"},
    {"source": "path", "program": "nor-this", "version": ">=1000"}]}],
  "process": {"command": "${dep.tool}"}
}"#;
    two_binaries_of_one_name: WEB => r#"{
  "binaries": [{"name": "node", "source": "path", "version": ">=1"}, {"name": "node", "source": "path", "version": ">=2"}],
  "process": {"command": "${dep.node}"}
}"#;
    bad_version: WEB => r#"{
  "binaries": [{"name": "node", "source": "path", "version": "twenty"}],
  "process": {"command": "${dep.node}"}
}"#;
    hash_missing: WEB => r#"{
  "binaries": [{"name": "tool", "source": "url", "url": "http://127.0.0.1:1/tool.tar.gz", "version": "1", "file": "tool"}],
  "process": {"command": "${dep.tool}"}
}"#;
    probe_without_a_kind: WEB => r#"{"process": {"command": "sleep", "compose": {"readiness_probe": {"period_seconds": 2}}}}"#;
    probe_with_two_kinds: WEB => r#"{"process": {"command": "sleep",
  "compose": {"readiness_probe": {"exec": {"command": "true"}, "tcp": {"port": "${port.http}"}}}},
  "ports": {"http": {"port": "auto"}}}"#;
    probe_with_a_bad_url: WEB => r#"{"process": {"command": "sleep",
  "compose": {"readiness_probe": {"http_get": {"url": "127.0.0.1:80/health"}}}}}"#;
    unknown_signal: WEB => r#"{"process": {"command": "sleep", "compose": {"shutdown": {"signal": 99}}}}"#;
    not_supported: WEB => r#"{"process": {"command": "sleep", "compose": {"is_tty": true}}}"#;
    unknown_user: WEB => r#"{"process": {"command": "sleep", "user": "nobody-of-that-name"}}"#;
    route_without_a_port: WEB => r#"{"process": {"command": "sleep"}, "route": {"port": "http"}}"#;
    replicas_of_a_fixed_port: WEB => r#"{"process": {"command": "sleep", "compose": {"replicas": 2}},
  "ports": {"http": {"port": 12345}}}"#;
    swap_of_a_fixed_port: WEB => r#"{"process": {"command": "sleep"}, "ports": {"http": {"port": 12345}},
  "update": {"strategy": "swap"}}"#;
    several_at_once: WEB => r#"{
  "kind": "proces",
  "process": {"comand": "sleep", "compose": {"depends_on": {"db": {"condition": "process_helthy"}}}},
  "ports": {"http": {"port": "any"}}
}"#;
    text_that_is_long_and_wide: WEB => "{\"process\": {\"command\": \"sleep\", \"env\": {\"GREETING\": \"Grüße, 世界 — ${nope}\"}}}";
}
