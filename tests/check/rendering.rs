//! Where complaints go, and how `check` ends.

use crate::common::Stack;
use crate::{GOOD, told};

#[test]
fn a_whole_stack_has_no_faults() {
    let stack = Stack::new();
    stack.write("services/web/service.json", GOOD);
    let said = stack.ok(&["check"]);
    assert_eq!(said.out, "ok 1 service of profile local, no errors\n");
}

#[test]
fn a_pipe_gets_no_colours() {
    let stack = Stack::new();
    stack.write("services/web/service.json", "{");
    let told = told(&stack);
    assert!(!told.contains('\u{1b}') && told.is_ascii(), "{told:?}");
}

/// Whatever is cut off or put in, `check` says what is wrong and does not fall over.
#[test]
fn damaged_manifests_are_no_crash() {
    let whole = include_str!("../../services/web/service.json");
    let stack = Stack::new();
    let mut tried = 0;
    for cut in (0..whole.len()).step_by(37).filter(|cut| whole.is_char_boundary(*cut)) {
        for damage in ["", "\0", "}", "\"", "${", "\u{202e}", "[[[[[[[[[[[[[[[[[["] {
            let text = if damage.is_empty() {
                whole[..cut].to_owned()
            } else {
                format!("{}{damage}{}", &whole[..cut], &whole[cut..])
            };
            stack.write("services/web/service.json", &text);
            let said = stack.core(&["check"]);
            assert!(matches!(said.code, 0 | 2), "cut at {cut} with {damage:?}: {said:?}");
            assert!(!said.err.contains("panicked"), "{}", said.err);
            tried += 1;
        }
    }
    assert!(tried > 100);
}
