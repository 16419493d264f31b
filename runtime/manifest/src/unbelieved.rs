//! What an app is not told by its clients.

/// Request headers about the client, or about what it asks for, that anyone may send and that Caddy passes on unchanged; core's
/// own; and what some servers take for the same, since they read `_` as `-`. A `*` stands for any end.
pub const UNBELIEVED: [&str; 19] = [
    "X-Real-IP",
    "Forwarded",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-Host",
    "Proxy",
    "X-Core-*",
    "X_Forwarded_*",
    "X_Real_*",
    "X_Client_*",
    "X_Core_*",
];

/// Whether an app never gets a header of this name.
pub fn is_unbelieved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    UNBELIEVED.iter().any(|one| {
        let one = one.to_ascii_lowercase();
        one.strip_suffix('*').map_or(name == one, |start| name.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for name in ["x-real-ip", "Proxy", "X-Core-User", "x_forwarded_for"] {
            assert!(is_unbelieved(name), "{name}");
        }
        for name in ["Remote-User", "X-Forwarded-For", "X-Core", "Proxy-Authorization"] {
            assert!(!is_unbelieved(name), "{name}");
        }
    }
}
