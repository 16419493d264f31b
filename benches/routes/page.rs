//! What is read out of a page to ask the next thing.

use crate::client::Answer;

/// The first file of a page with this ending, as it is asked for.
pub(crate) fn file(page: &str, ending: &str) -> Option<String> {
    let attributes = page.split(['"', '\'']);
    let mut files = attributes.filter(|text| text.starts_with('/') && text.contains("/_next/static/"));
    files.find(|text| text.split('?').next().is_some_and(|path| path.ends_with(ending))).map(str::to_owned)
}

/// The hidden fields of the first form of a page.
pub(crate) fn hidden(page: &str) -> Vec<(String, String)> {
    let form = page.split("<form").nth(1).and_then(|rest| rest.split("</form").next()).unwrap_or_default();
    let inputs = form.split("<input").skip(1).filter_map(|input| input.split('>').next());
    let field = |input: &str| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()));
    inputs.filter(|input| input.contains("type=\"hidden\"")).filter_map(field).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&"))
}

/// The cookies that an answer sets, as the next request sends them.
pub(crate) fn cookies(answer: &Answer) -> String {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.filter_map(|(_, value)| value.split(';').next()).collect::<Vec<_>>().join("; ")
}
