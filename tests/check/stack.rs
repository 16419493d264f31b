//! Faults between manifests, and of the stack.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::{Stack, same};
use crate::{GOOD, faults, told};

const WEB: &str = "services/web/service.json";
const API: &str = "services/api/service.json";
const EDGE: &str = "services/edge/service.json";

/// An edge that is whole but for its program.
const CADDY: &str = r#"{"kind": "caddy", "process": {"command": "sleep"},
  "ports": {"http": {"port": 18080, "protocol": "http", "hold": true}}}"#;
const ROUTED: &str = r#"{"process": {"command": "sleep"}, "ports": {"http": {"port": "auto", "protocol": "http"}},
  "route": {"port": "http", "paths": ["/shop"]}}"#;

faults! {
    no_services: "README.md" => "an empty stack";
    bad_service_name: "services/Web_1/service.json" => GOOD;
    name_like_a_slot: "services/web-1/service.json" => GOOD;
    reserved_name: "services/status/service.json" => GOOD;
    missing_dependency: WEB => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"databse": {}}}}}"#,
        "services/database/service.json" => GOOD;
    dependency_on_itself: WEB => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"web": {}}}}}"#;
    cycle: WEB => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"api": {}}}}}"#,
        API => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"database": {}}}}}"#,
        "services/database/service.json" =>
            r#"{"process": {"command": "sleep", "compose": {"depends_on": {"web": {}}}}}"#;
    healthy_without_a_probe:
        WEB => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"api": {"condition": "process_healthy"}}}}}"#,
        API => GOOD;
    log_ready_without_a_line:
        WEB => r#"{"process": {"command": "sleep", "compose": {"depends_on": {"api": {"condition": "process_log_ready"}}}}}"#,
        API => GOOD;
    completed_of_what_never_ends:
        WEB => r#"{"process": {"command": "sleep",
  "compose": {"depends_on": {"api": {"condition": "process_completed_successfully"}}}}}"#,
        API => r#"{"process": {"command": "sleep", "compose": {"availability": {"restart": "always"}}}}"#;
    duplicate_port: WEB => r#"{"process": {"command": "sleep"}, "ports": {"http": {"port": 12345}}}"#,
        API => r#"{"process": {"command": "sleep"}, "ports": {"main": {"port": 12345}}}"#;
    duplicate_route: EDGE => CADDY, WEB => ROUTED, API => ROUTED;
    route_without_an_edge: WEB => ROUTED;
    two_edges: EDGE => CADDY, "services/other/service.json" => r#"{"kind": "caddy", "process": {"command": "sleep"},
  "ports": {"http": {"port": 18081, "protocol": "http", "hold": true}}}"#;
    port_of_an_unknown_service: WEB => r#"{"process": {"command": "sleep", "args": ["${port.dtabase.main}"]}}"#,
        "services/database/service.json" =>
            r#"{"process": {"command": "sleep"}, "ports": {"main": {"port": 12345}}}"#;
    auto_port_of_a_swapped_service: EDGE => CADDY, WEB => ROUTED,
        API => r#"{"process": {"command": "sleep", "args": ["${port.web.http}"]}}"#;
    profile_of_an_unknown_service: WEB => GOOD,
        "manifests/local.json" => r#"{"services": {"wbe": {"process": {"args": ["1"]}}}}"#;
    profile_that_breaks_a_service: WEB => GOOD,
        "manifests/local.json" => r#"{"services": {"web": {"process": {"command": 7}}}}"#;
    profile_with_a_bad_range: WEB => GOOD, "manifests/local.json" => r#"{"ports": {"auto": "30000-20000"}}"#;
    broken_dotenv: WEB => GOOD, ".env" => "GOOD=1\nan odd line\n";
    faults_in_several_files: WEB => r#"{"process": {"comand": "sleep"}}"#, API => r#"{"process": "#,
        "services/database/service.json" =>
            r#"{"process": {"command": "sleep", "compose": {"depends_on": {"wbe": {}}}}}"#;
}

#[test]
fn unreadable_file() {
    // A folder of that name cannot be read by anyone, root included.
    let stack = Stack::new();
    fs::create_dir_all(stack.root.join(WEB)).expect("a folder");
    same!("unreadable_file", &told(&stack));
}

#[test]
fn not_text() {
    let stack = Stack::new();
    stack.write(WEB, "");
    fs::write(stack.root.join(WEB), b"{\"process\": {\"command\": \"sl\xff\xfeep\"}}").expect("a file");
    same!("not_text", &told(&stack));
}

#[test]
fn misspelt_file() {
    let stack = Stack::new();
    stack.write(API, GOOD);
    stack.write("services/web/sevice.json", GOOD);
    same!("misspelt_file", &told(&stack));
}

#[test]
fn secret_that_others_may_read() {
    let stack = Stack::new();
    stack.write(WEB, r#"{"process": {"command": "sleep", "env": {"KEY": "${secret.stripe}"}}}"#);
    stack.write(".secrets/stripe", "sk_live");
    let path = stack.root.join(".secrets/stripe");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("a mode");
    let told = told(&stack);
    assert!(!told.contains("sk_live"), "{told}");
    same!("secret_that_others_may_read", &told);
}

#[test]
fn unknown_profile() {
    let stack = Stack::new();
    stack.write(WEB, GOOD);
    stack.write("manifests/production.json", "{}");
    let said = stack.core(&["check", "--profile", "prodction"]);
    assert_eq!(said.code, 2, "{said:?}");
    same!("unknown_profile", &said.err.replace(&stack.root.display().to_string(), "<root>"));
}
