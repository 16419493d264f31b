//! PocketBase: creates its superuser without passing the password on a command line.
//!
//! PocketBase's own way is `superuser upsert EMAIL PASSWORD`, which every user sees in `ps`. Instead, a hook creates
//! the superuser from the environment while the program starts. That is before the installer would print a link with
//! which anyone who reads the log can become superuser.

use core_engine::driver::{Expansion, SecretRequest, Surroundings};
use core_manifest::spec::GeneratedFile;
use core_manifest::{Diagnostic, ServiceSpec, Template};

/// Default values for manifests of this kind.
pub const DEFAULTS: &str = include_str!("defaults.json");

/// Folder of the generated hook in the run folder; the manifest passes it as `--hooksDir`.
pub const HOOKS: &str = "hooks";

/// The environment variable with the superuser's password.
pub const PASSWORD: &str = "PB_SUPERUSER_PASSWORD";

/// The superuser's password: from `.env` or the environment, else generated and shown once.
pub const SECRET: SecretRequest = SecretRequest {
    variable: PASSWORD,
    file: "pocketbase-superuser",
    announcement: Some(
        "PocketBase's superuser is admin@pocketbase.local (or PB_SUPERUSER_EMAIL), password {}\n  \
         It stands in .secrets/pocketbase-superuser and is not shown again.",
    ),
};

/// Completes a PocketBase server: generates the hook that creates its superuser.
///
/// # Errors
/// When its command does not load the hook.
pub fn expand(mut spec: ServiceSpec, password: &Template, _around: Surroundings<'_>) -> Expansion {
    let reads_hook = spec.args.iter().any(|arg| arg.to_string().contains("${run}/hooks"));
    if !reads_hook {
        return Err(vec![
            Diagnostic::new(
                "no-hooks",
                format!("`{}` is of kind pocketbase and does not read the generated hook", spec.name),
            )
            .service(spec.name.as_str())
            .help("add \"--hooksDir\", \"${run}/hooks\" to process.args; it makes the superuser"),
        ]);
    }
    spec.env.entry(PASSWORD.to_owned()).or_insert_with(|| password.clone());
    spec.files.push(GeneratedFile {
        path: Template::literal(format!("{HOOKS}/superuser.pb.js")),
        contents: Template::literal(include_str!("superuser.pb.js")),
    });
    Ok(vec![spec])
}
