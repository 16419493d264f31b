//! Generates a JSON Schema from Rust types.

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value as Json;

/// The schema of a type.
pub(super) fn generate<T: JsonSchema>() -> Json {
    let mut generator = SchemaGenerator::default();
    let mut schema = generator.root_schema_for::<T>();
    RecursiveTransform(NoNull).transform(&mut schema);
    schema.to_value()
}

/// A type uses `Option` for a key that may be left out; that does not allow `null` as its value.
#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        let Some(object) = schema.as_object_mut() else { return };
        let remove_null = |list: &mut Vec<Json>| {
            list.retain(|one| one.as_str() != Some("null") && one.get("type").and_then(Json::as_str) != Some("null"));
        };
        if let Some(Json::Array(types)) = object.get_mut("type") {
            remove_null(types);
            if let [one] = types.as_slice() {
                let one = one.clone();
                object.insert("type".into(), one);
            }
        }
        for word in ["anyOf", "oneOf"] {
            let Some(Json::Array(list)) = object.get_mut(word) else { continue };
            remove_null(list);
            if let [Json::Object(one)] = list.as_slice() {
                let one = one.clone();
                object.remove(word);
                for (key, value) in one {
                    object.entry(key).or_insert(value);
                }
            }
        }
        if object.get("default") == Some(&Json::Null) {
            object.remove("default");
        }
    }
}
