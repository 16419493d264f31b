//! What is taken out of texts before they are compared: ports, and what is made up anew for each build or request.

/// So many digits are a time in milliseconds, or a digest.
const LONG: usize = 8;
/// So many characters are a random key: of 16 bytes in base64, which React writes into what it streams.
const KEY: usize = 22;
/// So many hexadecimal digits end the name of a file that webpack made; the folder of the build is in that hash.
const HASH: usize = 16;

/// What is known of the texts of one side.
pub(crate) struct Texts {
    ports: Vec<(String, &'static str)>,
    build: String,
}

impl Texts {
    /// With the port that clients know, the one behind it that they should not see, and the build id.
    pub(crate) fn new(port: u16, inner: Option<u16>, build: &str) -> Self {
        let inner = inner.map(|port| (port.to_string(), "inner-port"));
        let ports = std::iter::once((port.to_string(), "port")).chain(inner).collect();
        Self { ports, build: build.to_owned() }
    }

    /// A text without them.
    pub(crate) fn plain(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut word = String::new();
        for character in text.chars() {
            if character.is_ascii_alphanumeric() || character == '-' || character == '_' {
                word.push(character);
                continue;
            }
            self.end(&mut plain, &word);
            word.clear();
            plain.push(character);
        }
        self.end(&mut plain, &word);
        plain
    }

    /// Puts down a word that has ended.
    fn end(&self, plain: &mut String, word: &str) {
        let port = self.ports.iter().find(|(port, _)| plain.ends_with(':') && port == word);
        let has = |is: fn(&char) -> bool| word.chars().any(|character| is(&character));
        let is_key = word.len() == KEY && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        match port {
            Some((_, name)) => plain.push_str(name),
            None if is_key => plain.push_str("KEY"),
            None if word == self.build => plain.push_str("{build}"),
            None => match word.rsplit_once('-') {
                Some((name, hash)) if hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    plain.push_str(name);
                    plain.push_str("-HASH");
                }
                _ => numbers(plain, word),
            },
        }
    }
}

/// Puts down a word without its long numbers.
fn numbers(plain: &mut String, word: &str) {
    let mut digits = String::new();
    for character in word.chars().map(Some).chain(std::iter::once(None)) {
        if let Some(digit) = character.filter(char::is_ascii_digit) {
            digits.push(digit);
            continue;
        }
        plain.push_str(if digits.len() < LONG { &digits } else { "N" });
        digits.clear();
        plain.extend(character);
    }
}
