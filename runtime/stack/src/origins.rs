//! The places where the values of a service come from.

use core_manifest::ServiceName;
use core_manifest::tree::{Node, Value};

use crate::hidden::Hidden;
use crate::{Stack, defaults};

/// Path, value and place of everything that was written for a service, in whichever file.
pub fn origins(stack: &Stack, service: &ServiceName) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    if let Some(draft) = stack.drafts.services.get(service) {
        collect(&draft.node, "", &stack.hidden, &mut all);
    }
    all
}

fn collect(node: &Node, path: &str, hidden: &Hidden, all: &mut Vec<(String, String, String)>) {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match &node.value {
        Value::Object(entries) => {
            for (key, child) in entries {
                collect(child, &below(&key.name), hidden, all);
            }
        }
        Value::Array(elements) => {
            for (index, child) in elements.iter().enumerate() {
                collect(child, &below(&index.to_string()), hidden, all);
            }
        }
        _ => {
            let (line, _) = node.span.line_column();
            let name = path.rsplit('.').next().unwrap_or_default();
            let shown = node.made_of.as_ref().map_or_else(|| node.to_json(), |template| template.to_string().into());
            let mut value = serde_json::json!({ name: shown });
            hidden.cover_all(&mut value);
            let file = &node.span.file;
            let place = if defaults::are_in(file) { file.path.clone() } else { format!("{}:{line}", file.path) };
            all.push((path.to_owned(), value[name].to_string(), place));
        }
    }
}
