//! A CA of a test's own, that issues what it is asked for.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::tls::Client;

/// The CA.
pub(crate) struct Issuer(CertifiedIssuer<'static, KeyPair>);

/// A certificate in PEM format, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Issuer {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root"))
    }

    /// Who trusts it.
    pub(crate) fn client(&self) -> Client {
        Client::trusting(&self.0.pem())
    }

    /// A certificate for these names, good from a day ago for so many days from now; a negative number is in the past.
    pub(crate) fn issue(&self, names: &[&str], days: i64) -> Issued {
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names");
        let day = Duration::from_secs(24 * 3600);
        let at = |days: i64| {
            let span = day * u32::try_from(days.unsigned_abs()).expect("few");
            if days < 0 { SystemTime::now() - span } else { SystemTime::now() + span }
        };
        params.not_before = at(days.min(0) - 1).into();
        params.not_after = at(days).into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
