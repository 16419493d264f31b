//! What a check whether names lead to this stack has seen.

use std::net::IpAddr;

use serde::Serialize;

/// A family of addresses, by the records that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Family {
    /// IPv4.
    A,
    /// IPv6.
    #[serde(rename = "AAAA")]
    Aaaa,
}

impl Family {
    /// The name of its records.
    pub fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }
}

/// A fault, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A stable kebab-case word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Who answers at the ports of this host for the time of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "why")]
pub enum Answering {
    /// The running edge.
    Edge,
    /// The check, since the edge does not run.
    Check,
    /// Nobody, so that it is not known where a name leads: why.
    Nobody(String),
}

/// Why a port is not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "error", content = "text")]
pub enum Closed {
    /// The connection is refused.
    Refused,
    /// Nothing answers.
    Silent,
    /// This host has no way to addresses of this family.
    NoWay,
    /// Anything else.
    Other(String),
}

/// What came from the port without certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What the answer names as its server.
    pub server: Option<String>,
    /// Whether it is the answer of this stack.
    pub is_ours: bool,
}

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Who has issued it.
    pub issuer: String,
    /// When it ends: RFC 3339, UTC.
    pub not_after: String,
    /// Whether that is over.
    pub is_over: bool,
    /// Whether it is for the name.
    pub is_for_name: bool,
}

/// A port of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Port<T> {
    /// It is reached, and what came from it.
    Reached(T),
    /// It is not.
    Closed(Closed),
}

/// One address of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// What came from the port without certificates.
    pub plain: Port<Answer>,
    /// The certificate of the port with certificates, if it has one.
    pub secure: Port<Option<Served>>,
}

impl Address {
    /// The certificate that is served there.
    pub fn certificate(&self) -> Option<&Served> {
        match &self.secure {
            Port::Reached(served) => served.as_ref(),
            Port::Closed(_) => None,
        }
    }
}

/// The addresses of one family of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Records {
    /// The family.
    pub family: Family,
    /// All of them.
    pub addresses: Vec<Address>,
    /// Whether all of them lead to this stack; absent if that is not known.
    pub leads_here: Option<bool>,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
}

/// All that was seen of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Its addresses; a family that it has none of is left out.
    pub records: Vec<Records>,
    /// The CAs that CAA records allow, and the name that says so; absent if there is no such record.
    pub caa: Option<(String, Vec<String>)>,
    /// What is wrong with the name itself.
    pub faults: Vec<Fault>,
}

impl Name {
    /// Whether anything is wrong.
    pub fn is_faulty(&self) -> bool {
        !self.faults.is_empty() || self.records.iter().any(|one| !one.faults.is_empty())
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Who answered on this host.
    pub answering: Answering,
    /// Each name.
    pub names: Vec<Name>,
    /// What is wrong with this host.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.faults.is_empty() && !self.names.iter().any(Name::is_faulty)
    }
}
