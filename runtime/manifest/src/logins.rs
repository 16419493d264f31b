//! The users of a service: a file in `.secrets/` with a line `name:hash` for each of them. The hash is one of bcrypt, as
//! `htpasswd -B` writes it, too.

use std::collections::BTreeMap;

/// How the names of these files end.
const ENDING: &str = "-users";
/// Length of a hash of bcrypt.
const HASH: usize = 60;
/// What a hash may cost, as a power of two. More would let those who guess passwords keep the edge busy.
const COSTS: std::ops::RangeInclusive<u8> = 4..=14;
/// The longest name of a user.
const LONGEST: usize = 64;

/// Name of the file with the users of a service.
pub fn file(service: &str) -> String {
    format!("{service}{ENDING}")
}

/// What the hash of a user is called among the secrets. A file in `.secrets/` cannot have this name.
pub fn secret(service: &str, user: &str) -> String {
    format!("{}/{user}", file(service))
}

/// Adds the hash of each user in these secrets as a secret of its own.
pub fn spread(secrets: &mut BTreeMap<String, String>) {
    let files = secrets.iter().filter(|(name, _)| name.ends_with(ENDING));
    let hashes = files.flat_map(|(name, text)| {
        let good = parse(text).filter_map(Result::ok);
        good.map(move |(user, hash)| (format!("{name}/{user}"), hash.to_owned()))
    });
    let hashes: Vec<_> = hashes.collect();
    secrets.extend(hashes);
}

/// The users in a file, each with the hash of the password; or the number of a line that is not one of a user. Empty lines and
/// those that start with `#` are passed over.
pub fn parse(text: &str) -> impl Iterator<Item = Result<(&str, &str), usize>> {
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
        let user = line.split_once(':').filter(|(name, hash)| is_name(name) && is_hash(hash));
        user.ok_or(number + 1)
    })
}

/// Whether a user may have this name: it stands in a header, in a list, and before a colon.
pub fn is_name(name: &str) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(may)
}

fn is_hash(hash: &str) -> bool {
    let mut parts = hash.split('$');
    let (start, version, cost, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    hash.len() == HASH
        && start == Some("")
        && version.is_some_and(|version| ["2a", "2b", "2y"].contains(&version))
        && cost.is_some_and(|cost| cost.len() == 2 && cost.parse().is_ok_and(|cost| COSTS.contains(&cost)))
        && rest.is_some_and(|rest| rest.chars().all(is_digit))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHED: &str = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

    #[test]
    fn users_have_a_name_and_a_hash() {
        let text = format!("# people\nann:{HASHED}\n\nbob@example.org:{HASHED}\r\nann\nb c:{HASHED}\neve:secret\n");
        let all: Vec<_> = parse(&text).collect();
        assert_eq!(all, [Ok(("ann", HASHED)), Ok(("bob@example.org", HASHED)), Err(5), Err(6), Err(7)]);
        for wrong in
            ["$2b$10$short", &HASHED.replace("2b", "3b"), &HASHED.replace("$10$", "$31$"), &HASHED.replace('Z', "{")]
        {
            assert!(!is_hash(wrong), "{wrong}");
        }
        assert!(!is_name("") && !is_name("a:b") && !is_name("{file./etc/passwd}") && !is_name(&"x".repeat(65)));
    }

    #[test]
    fn each_hash_is_a_secret() {
        let mut secrets = BTreeMap::from([
            ("web-users".to_owned(), format!("ann:{HASHED}\nwrong")),
            ("other".to_owned(), format!("bob:{HASHED}")),
        ]);
        spread(&mut secrets);
        assert_eq!(secrets.get(&secret("web", "ann")).map(String::as_str), Some(HASHED));
        assert_eq!(secrets.len(), 3);
    }
}
