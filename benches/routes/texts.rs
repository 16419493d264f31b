//! What is taken out of texts before they are compared: ports, and numbers that are times or hashes of folders.

/// So many digits are a time in milliseconds, or a digest.
const LONG: usize = 8;

/// What is known of the texts of one side.
pub(crate) struct Texts {
    ports: Vec<String>,
}

impl Texts {
    /// With the ports that may be in them.
    pub(crate) fn new(ports: &[u16]) -> Self {
        Self { ports: ports.iter().map(|port| format!(":{port}")).collect() }
    }

    /// A text without them.
    pub(crate) fn plain(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut digits = String::new();
        for character in text.chars() {
            if character.is_ascii_digit() {
                digits.push(character);
                continue;
            }
            self.end(&mut plain, &mut digits);
            plain.push(character);
        }
        self.end(&mut plain, &mut digits);
        plain
    }

    /// Puts down the digits that have ended.
    fn end(&self, plain: &mut String, digits: &mut String) {
        let is_port = plain.ends_with(':') && self.ports.contains(&format!(":{digits}"));
        plain.push_str(match digits.len() {
            _ if is_port => "port",
            length if length >= LONG => "N",
            _ => digits,
        });
        digits.clear();
    }
}
