//! The last step: from values to the text of the file. Pure.

use serde_json::Value;

/// A line that turns a scalar into one with several lines, and is removed again.
const MAKES_BLOCK: &str = "core-takes-this-line-out";

/// Makes a text be written as a block. Only in this form does the value of a variable, including quotes and colons,
/// stay text when process-compose expands it before it parses the YAML.
pub(super) fn as_block(text: &str) -> String {
    format!("{text}\n{MAKES_BLOCK}")
}

/// Words that older YAML parsers read as true or false unless they are in quotes.
const OLD_FLAGS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
/// Prefix of a text that has to be quoted; a text with it can only be written in quotes.
const MAKES_QUOTES: &str = "#core-quotes-this#";

/// Writes the file.
pub(super) fn write(header: &[String], value: &Value) -> Result<String, yaml_serde::Error> {
    let body = yaml_serde::to_string(&with_quotes(value))?.replace(MAKES_QUOTES, "");
    let mut text = String::with_capacity(body.len());
    for line in header {
        // `$(` means nothing to process-compose, but does to a user who copies the line.
        text.push_str(&format!("# {line}").replace('$', "$$").replace("$$(", "$("));
        text.push('\n');
    }
    for line in body.lines().filter(|line| line.trim_start() != MAKES_BLOCK) {
        // Where a block is not possible, the marker is inside quotes.
        text.push_str(&line.replace(&format!("\\n{MAKES_BLOCK}"), ""));
        text.push('\n');
    }
    Ok(escape_backslashes(&text))
}

/// The same value, with words quoted that older parsers misread.
fn with_quotes(value: &Value) -> Value {
    let word = |text: &str| {
        let is_flag = OLD_FLAGS.iter().any(|flag| text.eq_ignore_ascii_case(flag));
        if is_flag { format!("{MAKES_QUOTES}{text}") } else { text.to_owned() }
    };
    match value {
        Value::Object(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (word(key), with_quotes(value))).collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(with_quotes).collect()),
        Value::String(text) => Value::String(word(text)),
        other => other.clone(),
    }
}

/// Variable expansion removes a `\` before another one and before `/`. (A run of them is doubled, except for the last
/// of an odd number: it starts an escape of the YAML, which must stay intact.)
fn escape_backslashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = rest[at..].trim_start_matches('\\');
        let count = rest.len() - at - after.len();
        let written = if count.is_multiple_of(2) || after.starts_with('/') { 2 * count } else { 2 * count - 1 };
        out.push_str(&"\\".repeat(written));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of process-compose's expansion for text without variables.
    fn expand(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match (c, rest.peek()) {
                ('\\', Some('\\' | '/')) => out.extend(rest.next()),
                _ => out.push(c),
            }
        }
        out.replace("$$", "$")
    }

    #[test]
    fn what_is_read_is_what_was_meant() {
        let texts =
            ["a\\b", "a\\\\b", "a\\/b", "a\\\\/b", "tab\t\"q\\\"", "two\nlines\\", "\u{7}\\\\\"", " x ", "'", "#", ""];
        for text in texts {
            let written = write(&["head".into()], &serde_json::json!({"key": text.replace('$', "$$")})).unwrap();
            // It is valid YAML before the expansion, too.
            assert!(yaml_serde::from_str::<Value>(&written).is_ok(), "{written}");
            let read: Value = yaml_serde::from_str(&expand(&written)).unwrap();
            assert_eq!(read["key"], text, "{written}");
        }
    }

    #[test]
    fn words_of_older_yaml_are_in_quotes() {
        let written = write(&[], &serde_json::json!({"off": "no", "key": ["On", "node"]})).unwrap();
        assert_eq!(written, "'off': 'no'\nkey:\n- 'On'\n- node\n");
    }

    #[test]
    fn a_variable_may_hold_anything_of_one_line() {
        let written = write(&[], &serde_json::json!({"list": [as_block("K=${X}"), as_block(" ${X}")]})).unwrap();
        assert!(!written.contains(MAKES_BLOCK), "{written}");
        let value = r#"a: 'b' "c" # d"#;
        let list: Value = yaml_serde::from_str(&written.replace("${X}", value)).unwrap();
        assert_eq!(list["list"], serde_json::json!([format!("K={value}"), format!(" {value}")]));
    }
}
