//! What is generated from the types is what is in the repository.

use std::fs;
use std::process::Command;

use crate::common::{Said, Stack, checkout, same};

/// Fails when a schema in the repository is not what the types say.
fn expect_fresh(which: &str, path: &str) {
    let there = fs::read_to_string(checkout().join(path)).expect("the schema");
    let generated = Stack::new().ok(&["schema", which]).out;
    assert!(there == generated, "{path} is stale: `core schema {which} > {path}` writes it again");
}

#[test]
fn the_schemas_are_fresh() {
    expect_fresh("service", "manifests/schema/service.schema.json");
    expect_fresh("stack", "manifests/schema/stack.schema.json");
    expect_fresh("payload", "docs/payload.schema.json");
}

#[test]
fn the_table_of_fields_is_fresh() {
    let text = fs::read_to_string(checkout().join("docs/FIELDS.md")).expect("the document");
    let generated = Stack::new().ok(&["schema", "fields"]).out;
    assert!(text.contains(generated.trim_end()), "the table is stale; `core schema fields` prints it:\n{generated}");
}

/// Fields of the API only ever get added: a change of this snapshot is a change of what others rely on.
#[test]
fn the_api_is_as_it_was() {
    let generated = Stack::new().ok(&["schema", "api"]).out;
    same!("api", generated);
}

/// The pure crates stay pure: nothing that they depend on, however far, is asynchronous or watches files.
#[test]
fn the_pure_crates_depend_on_nothing_that_waits() {
    let lock = fs::read_to_string(checkout().join("Cargo.lock")).expect("the lock");
    let packages: Vec<(&str, Vec<&str>)> = lock.split("[[package]]").skip(1).map(package).collect();
    for (root, banned) in [
        ("core-manifest", &["tokio", "mio", "hyper", "notify", "axum", "async-io"][..]),
        ("core-engine", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-stack", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-caddy", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-nats", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-pocketbase", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-next", &["tokio", "mio", "hyper", "notify", "axum", "async-io"]),
        ("core-shim", &["tokio", "mio", "serde_json", "serde"]),
    ] {
        let mut closure = vec![root];
        let mut at = 0;
        while at < closure.len() {
            let of: Vec<&str> = packages
                .iter()
                .filter(|(name, _)| *name == closure[at])
                .flat_map(|(_, dependencies)| dependencies.iter().copied())
                .collect();
            for name in of {
                if !closure.contains(&name) {
                    closure.push(name);
                }
            }
            at += 1;
        }
        assert!(packages.iter().any(|(name, _)| *name == root), "there is no crate {root}");
        let found: Vec<&&str> = banned.iter().filter(|name| closure.contains(name)).collect();
        assert!(found.is_empty(), "{root} depends on {found:?}");
    }
}

/// Name and dependencies of one package of a lock file.
fn package(text: &str) -> (&str, Vec<&str>) {
    let name = text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default().trim_matches('"');
    let dependencies = text.split_once("dependencies = [").map_or("", |(_, rest)| rest);
    let dependencies = dependencies.split(']').next().unwrap_or_default();
    let names = dependencies.lines().filter_map(|line| line.trim().trim_matches([',', '"']).split(' ').next());
    (name, names.map(|name| name.trim_matches('"')).filter(|name| !name.is_empty()).collect())
}

/// What runs beside the app, by its own tests: the handlers of the cache, and keys of server actions.
#[test]
fn what_runs_beside_an_app_does_what_it_says() {
    let tests =
        ["handlers/store.test.mjs", "actions.test.mjs"].map(|name| checkout().join("services/web/src").join(name));
    let said = Said::of(Command::new("node").arg("--test").args(tests).output().expect("node"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}
