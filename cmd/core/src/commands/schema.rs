//! `core schema` (hidden): prints what is generated from the types.

use core_manifest::StackManifest;
use core_manifest::schema::Shape;

use crate::cli::SchemaArgs;
use crate::exit::Exit;
use crate::render;

pub(crate) fn run(args: &SchemaArgs) -> Exit {
    let schema = match args.which.as_str() {
        "service" => core_manifest::editor::schema(),
        "stack" => Shape::of::<StackManifest>().json().clone(),
        "api" => core_host::api::schema(),
        "payload" => core_host::releases::payload::Payload::schema(),
        // What an edit of each field does, for docs/FIELDS.md.
        "fields" => {
            render::line(core_engine::diff::table().trim_end());
            return Exit::Ok;
        }
        other => {
            render::error(&format!("there is no schema `{other}`: service, stack, api, payload, fields"));
            return Exit::Usage;
        }
    };
    render::line(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    Exit::Ok
}
