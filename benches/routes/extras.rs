//! Requests for which a path alone is not enough.

/// What a request has for a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// None.
    None,
    /// A text.
    Text(&'static str),
    /// The first form of the page, as a browser without scripts sends it, with these fields filled in.
    Form(&'static [(&'static str, &'static str)]),
}

/// One request. In its path `{build}` stands for the build id, `{script}` and `{style}` for files of the start page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    /// `GET`.
    pub(crate) method: &'static str,
    /// Its path.
    pub(crate) path: &'static str,
    /// Its headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Its body.
    pub(crate) body: Body,
    /// A path that is asked for first; the cookies of that answer are sent.
    pub(crate) after: Option<&'static str>,
}

/// A GET.
pub(crate) const fn get(path: &'static str) -> Extra {
    with(path, &[])
}

/// A GET with headers.
pub(crate) const fn with(path: &'static str, headers: &'static [(&'static str, &'static str)]) -> Extra {
    Extra { method: "GET", path, headers, body: Body::None, after: None }
}

/// A request with a body, with headers.
pub(crate) const fn send(
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> Extra {
    Extra { method, path, headers, body: Body::Text("{\"a\": \"ü\"}"), after: None }
}

/// The form of a page, filled in.
pub(crate) const fn form(path: &'static str, fields: &'static [(&'static str, &'static str)]) -> Extra {
    Extra { method: "POST", path, headers: &[], body: Body::Form(fields), after: None }
}

/// A GET with the cookies of an answer before.
pub(crate) const fn after(first: &'static str, path: &'static str) -> Extra {
    Extra { after: Some(first), ..get(path) }
}
