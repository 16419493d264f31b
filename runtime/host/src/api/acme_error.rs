//! Why a certificate was not had, in a sentence: from the chain of errors that Caddy logs, and the problem types of ACME.

/// The prefix of a problem type (RFC 8555, 6.7).
const TYPE: &str = "urn:ietf:params:acme:error:";
/// What comes before the reason why the directory of a CA could not be had.
const DIRECTORY: &str = "provisioning client: ";

/// What a person needs of an error about the certificate for `name`, by the CA that Caddy calls `issuer`.
pub(crate) fn sentence(name: &str, issuer: &str, error: &str) -> String {
    // Caddy's word for a CA is its host and the path of its directory, with dashes.
    let end = issuer.rfind(['.', ':']).and_then(|dot| Some(dot + issuer[dot..].find('-')?));
    let ca = &issuer[..end.unwrap_or(issuer.len())];
    let Some((_, problem)) = error.split_once(TYPE) else {
        return match (reason(error), error.split_once(DIRECTORY)) {
            (Some(reason), _) => format!("the CA {ca} is not reached: {reason}"),
            (None, Some((_, what))) => format!("the CA {ca} does not answer as a CA: {what}"),
            (None, None) => error.to_owned(),
        };
    };
    let end = problem.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(problem.len());
    let (kind, detail) = problem.split_at(end);
    let detail = detail.trim_start_matches([' ', '-', ':']).trim();
    let what = match kind {
        // Not every CA has a word of its own for that.
        "connection" | "unauthorized" if kind == "connection" || detail.starts_with("Failed to connect") => {
            format!("the CA {ca} does not reach {name}: is port 80 or 443 open to the world?")
        }
        "dns" => format!("the CA {ca} finds no address of {name}: is there an A or AAAA record?"),
        "unauthorized" | "incorrectResponse" => {
            format!("the CA {ca} got the answer of another host: does {name} lead to this one?")
        }
        "tls" => format!("the CA {ca} could not speak TLS with {name}"),
        "rateLimited" => format!("the CA {ca} takes no more orders for now"),
        "caa" => format!("a CAA record of {name} forbids the CA {ca} to issue"),
        "rejectedIdentifier" => format!("the CA {ca} issues nothing for {name}"),
        "externalAccountRequired" => format!("the CA {ca} wants an account of its own"),
        "invalidContact" | "unsupportedContact" => format!("the CA {ca} does not take the `email`"),
        _ => format!("the CA {ca} refused it ({kind})"),
    };
    if detail.is_empty() { what } else { format!("{what} ({detail})") }
}

/// The last part of an error that came from the network or the system.
fn reason(error: &str) -> Option<&str> {
    const SIGNS: [&str; 8] =
        ["dial tcp", "no such host", "timeout", "deadline", "EOF", "x509:", "reset by peer", "HTTP 5"];
    let is_of_network = SIGNS.iter().any(|sign| error.contains(sign));
    let start = error.find("x509:").or_else(|| error.rfind(": ").map(|at| at + 2));
    is_of_network.then(|| &error[start.unwrap_or(0)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sentences() {
        let of = |error: &str| sentence("a.test", "localhost:14999-dir", error);
        let refused = "registering account [mailto:a@example.org] with server: provisioning client: performing request: \
                       Get \"https://localhost:14999/dir\": dial tcp 127.0.0.1:14999: connect: connection refused";
        assert_eq!(of(refused), "the CA localhost:14999 is not reached: connection refused");
        let unknown =
            "Get \"https://x/dir\": tls: failed to verify certificate: x509: certificate signed by unknown authority";
        assert_eq!(of(unknown), "the CA localhost:14999 is not reached: x509: certificate signed by unknown authority");
        let closed = "[a.test] solving challenges: a.test: HTTP 400 urn:ietf:params:acme:error:connection - Connection \
                      refused (order=https://localhost:14999/my-order/x)";
        assert!(of(closed).starts_with("the CA localhost:14999 does not reach a.test: is port 80 or 443 open"));
        let limited = "HTTP 429 urn:ietf:params:acme:error:rateLimited - too many certificates";
        assert_eq!(of(limited), "the CA localhost:14999 takes no more orders for now (too many certificates)");
        let nonsense =
            "registering account [] with server: provisioning client: decoding response body: invalid character 'h'";
        assert!(of(nonsense).starts_with("the CA localhost:14999 does not answer as a CA: decoding response body"));
        assert_eq!(of("something else"), "something else");
        let of = |issuer: &str| sentence("a.test", issuer, refused);
        assert!(of("acme-v02.api.letsencrypt.org-directory").contains("the CA acme-v02.api.letsencrypt.org is not"));
        assert!(of("localhost:1-a-b").contains("the CA localhost:1 is not"));
    }
}
