//! The manifest schema for editors: the schema of the types, plus the short forms that are expanded before a
//! manifest is checked.

use serde_json::{Value as Json, json};

use crate::schema::Shape;

/// The JSON Schema for editors.
pub fn schema() -> Json {
    let mut root = Shape::of_manifest().json().clone();
    let sources = root.pointer("/$defs/Source/oneOf").and_then(Json::as_array).cloned().unwrap_or_default();
    let name = root.pointer("/$defs/Binary/properties/name").cloned().unwrap_or_default();
    let short = sources.into_iter().map(|mut source| {
        if let Some(properties) = source.get_mut("properties").and_then(Json::as_object_mut) {
            properties.insert("name".into(), name.clone());
        }
        if let Some(required) = source.get_mut("required").and_then(Json::as_array_mut) {
            required.insert(0, "name".into());
        }
        source
    });
    if let Some(binary) = root.pointer_mut("/$defs/Binary") {
        let description = binary.as_object_mut().and_then(|binary| binary.remove("description"));
        let all: Vec<Json> = std::iter::once(binary.clone()).chain(short).collect();
        *binary = json!({"anyOf": all, "description": description});
    }
    // A driver knows the command of its kind; for any other program the manifest has to name it.
    let not_required = |node: Option<&mut Json>| {
        node.and_then(Json::as_object_mut).map(|node| node.remove("required"));
    };
    not_required(root.pointer_mut("/$defs/Process"));
    not_required(Some(&mut root));
    root["if"] = json!({"properties": {"kind": {"const": "process"}}});
    root["then"] = json!({"required": ["process"], "properties": {"process": {"required": ["command"]}}});
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_of_no_kind_must_say_what_is_executed() {
        let (schema, shape) = (schema(), Shape::of_manifest());
        assert_eq!(shape.json()["required"], json!(["process"]), "the check of a whole manifest asks for it");
        assert_eq!(shape.json().pointer("/$defs/Process/required"), Some(&json!(["command"])));
        assert!(schema.get("required").is_none() && schema.pointer("/$defs/Process/required").is_none());
        assert_eq!(schema["then"]["properties"]["process"]["required"], json!(["command"]));
    }

    #[test]
    fn a_binary_may_be_its_only_source() {
        let schema = schema();
        let forms = schema.pointer("/$defs/Binary/anyOf").and_then(Json::as_array).expect("several forms");
        assert_eq!(forms[0]["required"], json!(["name", "sources"]));
        let next_build = forms.iter().find(|form| form["properties"]["source"]["const"] == "next-build");
        assert_eq!(next_build.expect("the form of a build")["required"], json!(["name", "source", "path"]));
    }
}
