//! What the edge itself answers: a page of the stack's own for those who take pages, a line of text for others.

use std::collections::BTreeSet;

use core_engine::driver::Surroundings;
use core_manifest::Template;
use core_manifest::spec::{GeneratedFile, ServiceSpec};
use serde_json::{Map, Value, json};

/// The pages that there are, by what stands before `.html`.
#[derive(Debug, Default)]
pub(crate) struct Pages(BTreeSet<String>);

/// Name of a page in the run folder: what is served is what was read with the manifests, whoever may read the folder.
fn file(name: &str) -> String {
    format!("page-{name}.html")
}

impl Pages {
    /// Those of an edge.
    pub(crate) fn of(edge: &ServiceSpec, around: Surroundings<'_>) -> Self {
        let folder = edge.edge.error_pages.as_ref().and_then(|folder| around.folders.get(folder));
        let names = folder.into_iter().flatten().filter_map(|(name, _)| name.strip_suffix(".html"));
        Self(names.map(str::to_owned).collect())
    }

    /// Whether there is one.
    pub(crate) fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// Handlers that answer with a status: with the page of the first of these names that there is, else of its class, or with a
    /// text. `headers` are those of both.
    pub(crate) fn answer(&self, names: &[&str], status: &Value, headers: &[(&str, &str)], text: &str) -> Vec<Value> {
        let class = names.first().and_then(|name| name.get(..1)).map(|digit| format!("{digit}xx"));
        let page = names.iter().copied().chain(class.as_deref()).find(|name| self.0.contains(*name));
        let said = |kind: &str, body: &str, more: &[(&str, &str)]| {
            let all = headers.iter().chain(more).map(|(name, value)| ((*name).to_owned(), json!([value])));
            let mut all: Map<String, Value> = all.collect();
            all.insert("Content-Type".into(), json!([kind]));
            json!({"handler": "static_response", "status_code": status, "headers": all, "body": body})
        };
        let plain = |more| said("text/plain; charset=utf-8", text, more);
        let Some(page) = page else { return vec![plain(&[])] };
        let fresh = [("Cache-Control", "no-store")];
        // What the file holds is not looked at for placeholders.
        let body = format!("{{file.@RUN@/{}}}", file(page));
        vec![json!({"handler": "subroute", "routes": [
            {
                "match": [{"header": {"Accept": ["*text/html*"]}}],
                "handle": [said("text/html; charset=utf-8", &body, &fresh)],
                "terminal": true,
            },
            {"handle": [plain(&fresh)]},
        ]})]
    }

    /// Routes for errors that nothing else is said of.
    pub(crate) fn of_errors(&self) -> Vec<Value> {
        let status = "{http.error.status_code}";
        // One status comes before all of its class.
        let (classes, single): (Vec<&String>, Vec<&String>) = self.0.iter().partition(|name| name.ends_with("xx"));
        let one = |name: &String| {
            let is_meant = match name.strip_suffix("xx") {
                Some(digit) => format!("{status} >= {digit}00 && {status} <= {digit}99"),
                None => format!("{status} == {name}"),
            };
            let text = format!("{status} {{http.error.status_text}}\n");
            json!({
                "match": [{"expression": is_meant}],
                "handle": self.answer(&[name], &json!(status), &[], &text),
                "terminal": true,
            })
        };
        single.into_iter().chain(classes).map(one).collect()
    }

    /// The last route: requests that no service is for. Without pages, an empty answer.
    pub(crate) fn nobody(&self) -> Option<Value> {
        let handle = self.answer(&["404"], &json!(404), &[], "Nothing is here.\n");
        self.are_there().then(|| json!({"handle": handle}))
    }
}

/// The pages as files in the run folder.
pub(crate) fn files(edge: &ServiceSpec, around: Surroundings<'_>) -> Vec<GeneratedFile> {
    let folder = edge.edge.error_pages.as_ref().and_then(|folder| around.folders.get(folder));
    let pages =
        folder.into_iter().flatten().filter_map(|(name, page)| Some((name.strip_suffix(".html")?, page.as_ref()?)));
    let file = |(name, page): (&str, &std::sync::Arc<core_manifest::SourceFile>)| GeneratedFile {
        path: Template::literal(file(name)),
        contents: Template::literal(page.text.clone()),
    };
    pages.map(file).collect()
}
