//! Certificates from files. The edge reads copies that core has checked: a file that is replaced by a wrong one harms nobody.
//!
//! A copy has the certificate and its key in one file, which the edge's user alone may read:
//! `.data/.certificates/<written>/<file>.pem`, digests of what the manifest names and of the file that was found there. It is
//! replaced only by one that is good.

mod pair;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use core_engine::topology::Places as _;
use core_manifest::spec::OwnCertificate;
use core_manifest::{Diagnostic, ServiceName};
use core_stack::{Drafts, hex};
use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

pub(crate) use self::pair::{ENDINGS, files};
use self::pair::{Pair, plain};
use crate::files::read as read_file;
use crate::paths::Paths;
use crate::{data, private};

/// What a certificate says.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// The names that it is for.
    pub(crate) names: Vec<String>,
    /// Who issued it.
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Certificate {
    /// The first one of a PEM file.
    pub(crate) fn read(pem: &[u8]) -> Option<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
        Self::of(&pem.contents)
    }

    /// One in DER.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let issuer = parsed.issuer();
        let word = issuer.iter_organization().chain(issuer.iter_common_name()).find_map(|one| one.as_str().ok());
        let others = parsed.subject_alternative_name().ok().flatten();
        let names = others.iter().flat_map(|others| &others.value.general_names).filter_map(|name| match name {
            x509_parser::extensions::GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        Some(Self {
            names: names.collect(),
            issuer: word.unwrap_or_default().to_owned(),
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
        })
    }
}

/// The certificates of an edge, with what is to be copied.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// What the edge uses.
    pub(crate) all: Vec<OwnCertificate>,
    /// Its copies: the folder, the name in it, and the contents.
    copies: Vec<(PathBuf, String, Vec<u8>)>,
}

/// Reads the certificates that the manifests name. What cannot be used, and was never usable, is a fault of the manifest.
pub(crate) fn read(paths: &Paths, drafts: &Drafts, out: &mut Vec<Diagnostic>) -> BTreeMap<ServiceName, Own> {
    let mut all = BTreeMap::new();
    for (name, written) in drafts.certificates() {
        let mut own = Own::default();
        for (index, path) in written.iter().enumerate() {
            if let Err(fault) = own.add(paths, path) {
                let index = index.to_string();
                let at = drafts.span(&name, &["config", "certificates", &index]);
                let message = format!("`{path}` in `certificates` of `{name}` {fault}");
                let help = "name a file with a certificate in PEM format, with its key in it or beside it, or a folder with such files";
                out.push(Diagnostic::new("bad-certificate", message).at_opt(at).service(name.as_str()).help(help));
            }
        }
        all.insert(name, own);
    }
    all
}

/// What is wrong with the files that these paths stand for, though what they were before may still be used: each path as
/// written, and why.
pub(crate) fn faults(root: &Path, written: &[String], now: Timestamp) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in written {
        match pair::find(&root.join(path)) {
            Err(why) => all.push((path.clone(), why)),
            Ok(pairs) => {
                let wrong = pairs.iter().filter_map(|pair| {
                    let why = pair.contents().and_then(|contents| checked(pair, &contents, now)).err()?;
                    Some((pair.shown(root).display().to_string(), why))
                });
                all.extend(wrong);
            }
        }
    }
    all
}

/// Writes the copies that are missing, for `reader`, the user as whom the edge runs, if that is another one.
pub(crate) fn store(paths: &Paths, all: &BTreeMap<ServiceName, Own>, reader: Option<u32>, out: &mut Vec<Diagnostic>) {
    for (folder, name, contents) in all.values().flat_map(|own| &own.copies) {
        // What is new for the same names, an edge that runs is told of when it is replaced: `refresh`.
        let has_same = kept(&folder.join(name))
            .is_some_and(|kept| Certificate::read(contents).is_some_and(|new| new.names == kept.names));
        if has_same {
            continue;
        }
        let written = data::make_passable(folder).and_then(|()| private::replace(folder, name, contents, reader));
        if let Err(error) = written {
            let message = format!("{}: {}", paths.shown(folder), plain(&error));
            out.push(
                Diagnostic::new("unwritable", message).help("core keeps the certificates of `certificates` there"),
            );
        }
    }
}

/// Copies what is new and good over copies that are there, and returns whether there was such.
///
/// # Errors
/// The error of the file system.
pub(crate) fn refresh(paths: &Paths, written: &[String], reader: Option<u32>) -> io::Result<bool> {
    let mut is_any = false;
    for path in written {
        let folder = folder(paths, path);
        // What is wrong is told in the status.
        for pair in pair::find(&paths.root.join(path)).unwrap_or_default() {
            let (Ok(contents), name) = (pair.contents(), name(paths, &pair)) else { continue };
            // Most of the time they are the same, and no more is done.
            let is_new = fs::read(folder.join(&name)).is_ok_and(|have| have != contents);
            if is_new && checked(&pair, &contents, Timestamp::now()).is_ok() {
                private::replace(&folder, &name, &contents, reader)?;
                is_any = true;
            }
        }
    }
    Ok(is_any)
}

impl Own {
    /// Adds what a path stands for.
    fn add(&mut self, paths: &Paths, written: &str) -> Result<(), String> {
        let folder = folder(paths, written);
        let pairs = match pair::find(&paths.root.join(written)) {
            Ok(pairs) => pairs,
            Err(why) => {
                // What was there before is used.
                let before: Vec<_> = copies(&folder).iter().filter_map(|copy| kept(copy)).collect();
                let has_any = !before.is_empty();
                self.all.extend(before);
                return if has_any { Ok(()) } else { Err(why) };
            }
        };
        for pair in pairs {
            let (shown, name) = (pair.shown(&paths.root), name(paths, &pair));
            let copy = folder.join(&name);
            match pair.contents().and_then(|contents| Ok((checked(&pair, &contents, Timestamp::now())?, contents))) {
                Ok((certificate, contents)) => {
                    self.all.push(OwnCertificate { names: certificate.names, file: copy.display().to_string() });
                    self.copies.push((folder.clone(), name, contents));
                }
                Err(why) => {
                    self.all.push(kept(&copy).ok_or_else(|| format!("cannot be used: {} {why}", shown.display()))?);
                }
            }
        }
        Ok(())
    }
}

/// A certificate that fits its key and is good now, from the text of both.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the path.
fn checked(pair: &Pair, contents: &[u8], now: Timestamp) -> Result<Certificate, String> {
    let chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(contents).collect::<Result<_, _>>().map_err(|_| "is not in PEM format")?;
    let certificate = chain.first().and_then(|first| Certificate::of(first)).ok_or("is not a certificate")?;
    let shown = pair.key.file_name().unwrap_or_default().display();
    let key = PrivateKeyDer::from_pem_slice(contents)
        .map_err(|_| format!("cannot be used: its key, {shown}, is not one in PEM format without a passphrase"))?;
    CertifiedKey::from_der(chain.into_iter().map(CertificateDer::into_owned).collect(), key, &ring::default_provider())
        .map_err(|_| format!("does not match its key, {shown}"))?;
    if certificate.not_after <= now {
        return Err(format!("has expired: it was good until {}", certificate.not_after));
    }
    if certificate.not_before > now {
        return Err(format!("is not good yet: it begins at {}", certificate.not_before));
    }
    if certificate.names.is_empty() {
        return Err("is not for any name".into());
    }
    Ok(certificate)
}

/// The folder of the copies of what a manifest names.
fn folder(paths: &Paths, written: &str) -> PathBuf {
    paths.data().join(".certificates").join(digest(written.as_bytes()))
}

/// The name of a copy in it.
fn name(paths: &Paths, pair: &Pair) -> String {
    format!("{}.pem", digest(pair.shown(&paths.root).as_os_str().as_encoded_bytes()))
}

/// The certificate of a copy that is there.
fn kept(copy: &Path) -> Option<OwnCertificate> {
    let certificate = Certificate::read(&read_file(copy).ok()?)?;
    Some(OwnCertificate { names: certificate.names, file: copy.display().to_string() })
}

/// The copies in a folder.
fn copies(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "pem")).collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}
