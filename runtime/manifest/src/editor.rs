//! The schema of a manifest as editors get it: that of the types, and the short forms that are written out before a
//! manifest is checked.

use serde_json::{Value as Json, json};

use crate::Manifest;
use crate::schema::Shape;

/// The JSON Schema for editors.
pub fn schema() -> Json {
    let mut root = Shape::of::<Manifest>().json().clone();
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
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_may_be_its_only_source() {
        let schema = schema();
        let forms = schema.pointer("/$defs/Binary/anyOf").and_then(Json::as_array).expect("several forms");
        assert_eq!(forms[0]["required"], json!(["name", "sources"]));
        let next_build = forms.iter().find(|form| form["properties"]["source"]["const"] == "next-build");
        assert_eq!(next_build.expect("the form of a build")["required"], json!(["name", "source", "path"]));
    }
}
