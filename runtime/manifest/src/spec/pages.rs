//! Resolves the edge's own pages: a folder with one for each status, or for all that start with a digit.

use super::faults::Faults;
use crate::diagnostic::Diagnostic;
use crate::named::Folders;

/// The largest page, in bytes.
const LARGEST: usize = 256 << 10;
/// Where it is written.
const AT: [&str; 2] = ["config", "error_pages"];

/// The folder as written, if its pages can be used. `None` if there are to be none.
pub(super) fn resolve(written: Option<&str>, folders: &Folders, faults: &mut Faults<'_>) -> Option<String> {
    let folder = written?;
    let mut add = |message: String, help: &str| {
        faults.add(&AT, Diagnostic::new("bad-pages", message).help(help));
    };
    let Some(pages) = folders.get(folder) else {
        let help = "make it, or write its path as it is, without placeholders; relative to the stack's root";
        add(format!("the folder `{folder}` does not exist"), help);
        return None;
    };
    const NAMES: &str = "pages are 404.html, 503.html and so on, or 4xx.html and 5xx.html for all others";
    if pages.is_empty() {
        add(format!("the folder `{folder}` has no page"), NAMES);
    }
    for (name, page) in pages {
        if !is_page(name) {
            add(format!("`{folder}/{name}` is not named after a status"), NAMES);
        }
        if page.as_ref().is_some_and(|page| page.text.len() > LARGEST) {
            let help = "make it smaller: the edge serves no images and styles of pages, and each has to be whole";
            add(format!("`{folder}/{name}` is larger than {} KiB", LARGEST >> 10), help);
        }
    }
    Some(folder.to_owned())
}

/// Whether this is the name of a page for an error.
fn is_page(name: &str) -> bool {
    let Some(status) = name.strip_suffix(".html") else { return false };
    ["4xx", "5xx"].contains(&status)
        || status.len() == 3 && status.parse().is_ok_and(|status| (400..600).contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_after_a_status() {
        for good in ["404.html", "599.html", "4xx.html", "5xx.html"] {
            assert!(is_page(good), "{good}");
        }
        for bad in ["200.html", "404.htm", "40x.html", "0404.html", "index.html", "3xx.html"] {
            assert!(!is_page(bad), "{bad}");
        }
    }
}
