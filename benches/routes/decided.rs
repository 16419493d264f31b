//! Differences that are decisions, each with its reason. Everything else that differs is a fault of core or of a test.

use crate::comparison::Difference;

/// A difference that is meant.
pub(crate) struct Decision {
    /// The header, `status` or `body`.
    what: &'static str,
    /// What `next start` has; `*` is any value.
    next: &'static str,
    /// What the edge has; `*` is any value.
    edge: &'static str,
    /// Why.
    pub(crate) why: &'static str,
}

const fn is(what: &'static str, next: &'static str, edge: &'static str, why: &'static str) -> Decision {
    Decision { what, next, edge, why }
}

/// All of them.
const DECIDED: [Decision; 5] = [
    is("server", "-", "Caddy", "The edge names itself."),
    is("via", "-", "1.1 Caddy", "A proxy says that it is one (RFC 9110, 7.6.3)."),
    is("connection", "*", "*", "It is of one connection (RFC 9110, 7.6.1)."),
    is("keep-alive", "*", "*", "It is of one connection (RFC 9110, 7.6.1)."),
    is("transfer-encoding", "*", "*", "How a body is cut up is of one connection (RFC 9112, 6.1)."),
];

/// The decision that a difference falls under.
pub(crate) fn decision(of: &Difference) -> Option<&'static Decision> {
    DECIDED.iter().find(|one| one.what == of.what && fits(one.next, &of.next) && fits(one.edge, &of.edge))
}

fn fits(pattern: &str, value: &str) -> bool {
    pattern == "*" || pattern == value
}
