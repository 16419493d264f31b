//! What the CAA records of a name (RFC 8659) must contain, so that the CAs that are asked may issue for it.

use core_manifest::spec::{ServiceSpec, Tls};

/// How CAs call themselves in these records, by a part of the address of their directories.
const KNOWN: [(&str, &str); 3] =
    [("letsencrypt.org", "letsencrypt.org"), ("zerossl.com", "sectigo.com"), ("pki.goog", "pki.goog")];

/// The names in CAA records of the CAs that are asked; empty if one of them is not known, or none is asked.
pub fn issuers(edge: &ServiceSpec) -> Vec<&'static str> {
    if edge.edge.tls != Tls::Auto {
        return Vec::new();
    }
    if edge.edge.directories.is_empty() {
        let second = edge.edge.email.is_some().then_some(KNOWN[1].1);
        return [KNOWN[0].1].into_iter().chain(second).collect();
    }
    let known = |directory: &String| KNOWN.iter().find(|(part, _)| directory.contains(part)).map(|(_, name)| *name);
    edge.edge.directories.iter().map(known).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use core_manifest::ServiceName;

    use super::*;

    #[test]
    fn only_what_is_known_of_all_cas_is_said() {
        let mut edge = ServiceSpec::bare(ServiceName::new("caddy").unwrap(), "caddy");
        assert!(issuers(&edge).is_empty());
        edge.edge.tls = Tls::Auto;
        assert_eq!(issuers(&edge), ["letsencrypt.org"]);
        edge.edge.email = Some("a@b.example".into());
        assert_eq!(issuers(&edge), ["letsencrypt.org", "sectigo.com"]);
        edge.edge.directories = vec!["https://acme.zerossl.com/v2/DV90".into()];
        assert_eq!(issuers(&edge), ["sectigo.com"]);
        edge.edge.directories.push("https://ca.internal/dir".into());
        assert!(issuers(&edge).is_empty());
    }
}
