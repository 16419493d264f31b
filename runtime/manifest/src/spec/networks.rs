//! Resolves lists of networks: each entry is a network, or names a file with one a line.

use std::sync::Arc;

use super::faults::Faults;
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::named::{self, LIST, Lists};
use crate::network::is_network;

/// So many wrong lines of a file are told one by one.
const TOLD: usize = 5;

/// The networks at `path`, as written: what is in the files is looked up where it is needed.
pub(super) fn resolve(path: &[&str], written: &[String], lists: &Lists, faults: &mut Faults<'_>) -> Vec<String> {
    for (index, entry) in written.iter().enumerate() {
        let index = index.to_string();
        let at = [path, &[index.as_str()]].concat();
        let Some(list) = entry.strip_prefix(LIST) else {
            if !is_network(entry) {
                let key = path.last().copied().unwrap_or_default();
                let message = format!("`{entry}` in `{key}` of `{}` is not an address or a network", faults.name);
                let help = "write an address (203.0.113.7), a network (10.0.0.0/8), private_ranges, or file:PATH";
                faults.add(&at, Diagnostic::new("bad-config", message).help(help));
            }
            continue;
        };
        match lists.get(list) {
            Some(Some(file)) => lines(file, faults),
            // Why it cannot be read was told already.
            Some(None) => {}
            None if list.is_empty() => {
                let fault = Diagnostic::new("bad-config", "a path is missing after `file:`");
                faults.add(&at, fault.help("for example \"file:deny.txt\", relative to the stack's root"));
            }
            None => {
                let fault = Diagnostic::new("bad-config", format!("the file `{list}` does not exist"));
                faults.add(
                    &at,
                    fault.help("write its path as it is, without placeholders; relative to the stack's root"),
                );
            }
        }
    }
    written.to_vec()
}

/// Reports the lines of a file that are no networks.
fn lines(file: &Arc<SourceFile>, faults: &mut Faults<'_>) {
    let mut wrong = named::entries(&file.text).filter(|(_, entry)| !is_network(entry));
    for (start, entry) in wrong.by_ref().take(TOLD) {
        let at = Span { file: Arc::clone(file), start, end: start + entry.len() };
        let fault = Diagnostic::new("bad-list", format!("`{entry}` is not an address or a network"));
        let help = "write one network a line: 203.0.113.7, 10.0.0.0/8 or private_ranges; a comment starts with #";
        faults.out.push(fault.at(at).service(faults.name.as_str()).help(help));
    }
    let more = wrong.count();
    if more > 0 {
        let fault = Diagnostic::new("bad-list", format!("{more} more lines are not a network either"));
        faults.out.push(fault.at(Span::file(Arc::clone(file))).service(faults.name.as_str()));
    }
}
