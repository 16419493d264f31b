//! What `next build` prints about routes, beside what `core analyze` says of the same build.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::Stack;

/// The sign of each route or page in the output of `next build`.
pub(crate) fn signs(output: &str) -> BTreeMap<String, char> {
    let mut all = BTreeMap::new();
    for line in output.lines() {
        let frame = ['┌', '├', '└', '│', ' '];
        let mut words = line.trim_start_matches(frame).split_whitespace();
        let (Some(sign), Some(path)) = (words.next(), words.next()) else { continue };
        let is_sign = ["○", "●", "ƒ", "◐"].contains(&sign);
        if is_sign && path.starts_with('/') {
            all.insert(path.to_owned(), sign.chars().next().unwrap_or_default());
        }
    }
    all
}

/// The signs that Next.js prints for a class.
fn signs_of(class: &str) -> &'static str {
    match class {
        "static" => "○",
        "ssg" | "on-demand" => "●",
        "isr" => "○●",
        "partial-prerender" => "◐",
        _ => "ƒ",
    }
}

/// The payload of the live release says of each route what the build printed, and what the edge answers.
pub(crate) fn compare(stack: &Stack) -> Value {
    let said = stack.ok(&["analyze", "--json"]).out;
    let payload: Value = serde_json::from_str(&said).expect("JSON");
    let id = payload["release"].as_str().expect("a release");
    let log = stack.root.join(".releases/web").join(id).join("build.log");
    let printed = signs(&fs::read_to_string(log).expect("the log of the build"));
    assert!(printed.len() > 1, "{printed:?}");
    let routes = payload["routes"].as_array().expect("routes");
    let class_of: BTreeMap<&str, &str> =
        routes.iter().filter_map(|route| Some((route["path"].as_str()?, route["class"].as_str()?))).collect();
    for (path, sign) in &printed {
        // Of a route with parameters, each of its pages may have a line of its own.
        let pages = || {
            routes
                .iter()
                .flat_map(|route| route["prerendered"].as_array().into_iter().flatten().map(move |page| (route, page)))
        };
        let page = pages().find(|(route, page)| page["path"] == path.as_str() && route["path"] != path.as_str());
        let class = match (class_of.get(path.as_str()), page) {
            (Some(class), _) => class,
            (None, Some((_, page))) if page["partial"] == true => "partial-prerender",
            (None, Some((route, _))) if route["class"] == "partial-prerender" => "static",
            (None, Some((route, _))) => route["class"].as_str().unwrap_or_default(),
            (None, None) => panic!("{path} is not in {class_of:?}"),
        };
        assert!(signs_of(class).contains(*sign), "{path} is {class}, and the build printed {sign}");
    }
    payload
}
