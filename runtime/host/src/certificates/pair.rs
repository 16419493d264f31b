//! Certificates and their keys, as people and programs lay them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files;

/// What a PEM file with a certificate, or with a key, has in it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const KEY: &str = "PRIVATE KEY-----";
/// How the names of such files end.
pub(crate) const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "key"];
/// The names of a chain and its key as certbot, and as clusters lay them.
const USUAL: [(&str, &str); 2] = [("fullchain.pem", "privkey.pem"), ("cert.pem", "key.pem")];

/// The files of one certificate; both may be the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    /// The certificate, and then its key.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence that begins with the path.
    pub(super) fn contents(&self) -> Result<Vec<u8>, String> {
        let text = |path: &Path| files::read(path).map_err(|error| format!("cannot be read: {}", plain(&error)));
        let certificate = text(&self.certificate)?;
        if self.key == self.certificate {
            return Ok(certificate);
        }
        Ok([certificate, text(&self.key)?].join(&b'\n'))
    }

    /// Its path, relative to the stack's root if it is there.
    pub(super) fn shown(&self, root: &Path) -> &Path {
        self.certificate.strip_prefix(root).unwrap_or(&self.certificate)
    }
}

/// The pairs that a path stands for: a file with a certificate, whose key is in it or beside it, or a folder with such
/// files, also in the folders in it (`/etc/letsencrypt/live`). Links are followed.
///
/// # Errors
/// Why there are not any, as the end of a sentence that begins with the path.
pub(super) fn find(path: &Path) -> Result<Vec<Pair>, String> {
    let meta = fs::metadata(path).map_err(|error| format!("cannot be read: {}", plain(&error)))?;
    if meta.is_file() {
        return of_file(path)?.map(|pair| vec![pair]).ok_or_else(|| {
            let names =
                beside(path).iter().filter_map(|path| path.file_name()?.to_str()).collect::<Vec<_>>().join(", ");
            format!("has no key in it or beside it (looked for {names})")
        });
    }
    let mut all = in_folder(path)?;
    for entry in folders(path) {
        all.extend(in_folder(&entry)?);
    }
    if all.is_empty() { Err("has no certificate with its key in it".into()) } else { Ok(all) }
}

/// The files that a path stands for, or may stand for when it is there: an edit of one of them is one of the manifest.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let is_pem = |path: &PathBuf| path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one));
    if !path.is_dir() {
        return [path.to_owned()].into_iter().chain(beside(path)).collect();
    }
    let inside = |folder: &Path| entries(folder).unwrap_or_default().into_iter().filter(is_pem);
    // One that may come, so that the folder is watched.
    let of = |folder: &Path| inside(folder).chain([folder.join(USUAL[0].0)]).collect::<Vec<_>>();
    [path.to_owned()].into_iter().chain(folders(path)).flat_map(|folder| of(&folder)).collect()
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(path).unwrap_or_default().into_iter().filter(|entry| entry.is_dir())
}

fn in_folder(folder: &Path) -> Result<Vec<Pair>, String> {
    // The other files of such a folder are parts of the same.
    let usual = USUAL.map(|(certificate, key)| Pair { certificate: folder.join(certificate), key: folder.join(key) });
    if let Some(pair) = usual.into_iter().find(|pair| pair.certificate.exists() && pair.key.exists()) {
        return Ok(vec![pair]);
    }
    let is_pem = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ["pem", "crt", "cer"].iter().any(|one| ending == *one)) && path.is_file()
    };
    let files = entries(folder)?.into_iter().filter(is_pem);
    // One that cannot be read is told of when it is used: here it may be anything.
    Ok(files.filter_map(|path| of_file(&path).ok().flatten()).collect())
}

/// The pair of a file, if that has a certificate and there is a key for it.
fn of_file(path: &Path) -> Result<Option<Pair>, String> {
    let text = files::read_text(path).map_err(|error| format!("cannot be read: {}", plain(&error)))?;
    if !text.contains(CERTIFICATE) {
        return Ok(None);
    }
    let key =
        if text.contains(KEY) { Some(path.to_owned()) } else { beside(path).into_iter().find(|key| key.exists()) };
    Ok(key.map(|key| Pair { certificate: path.to_owned(), key }))
}

/// Where the key of a certificate may be.
fn beside(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let usual = USUAL.iter().filter(|(certificate, _)| *certificate == name).map(|(_, key)| (*key).to_owned());
    let own = [format!("{stem}.key"), format!("{stem}-key.pem"), format!("{stem}.key.pem")];
    usual.chain(own).map(|key| path.with_file_name(key)).collect()
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {}", plain(&error));
    let mut all: Vec<PathBuf> = fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    all.sort();
    Ok(all)
}

/// The words of an error of the system.
pub(super) fn plain(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_usual_ways_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let key = "-----BEGIN PRIVATE KEY-----";
        // certbot: links into an archive.
        for (name, text) in [("fullchain1.pem", CERTIFICATE), ("privkey1.pem", key), ("cert1.pem", CERTIFICATE)] {
            put(&format!("archive/{name}"), text);
            fs::create_dir_all(folder.path().join("live/a.example")).unwrap();
            let link = folder.path().join("live/a.example").join(name.replace('1', ""));
            symlink(format!("../../archive/{name}"), link).unwrap();
        }
        put("live/README", "read me");
        put("flat/b.crt", CERTIFICATE);
        put("flat/b.key", key);
        put("flat/c.pem", CERTIFICATE);
        put("flat/c-key.pem", key);
        put("flat/d.pem", &format!("{key}\n{CERTIFICATE}"));
        put("flat/ca.crt", CERTIFICATE);
        put("empty/ca.crt", CERTIFICATE);
        let of = |path: &str| {
            let inside = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
            find(&folder.path().join(path))
                .map(|all| all.iter().map(|pair| (inside(&pair.certificate), inside(&pair.key))).collect::<Vec<_>>())
        };
        let pair = |certificate: &str, key: &str| (certificate.to_owned(), key.to_owned());
        assert_eq!(of("live").unwrap(), [pair("live/a.example/fullchain.pem", "live/a.example/privkey.pem")]);
        let flat = [("flat/b.crt", "flat/b.key"), ("flat/c.pem", "flat/c-key.pem"), ("flat/d.pem", "flat/d.pem")];
        assert_eq!(of("flat").unwrap(), flat.map(|(certificate, key)| pair(certificate, key)));
        assert_eq!(of("flat/b.crt").unwrap(), [pair("flat/b.crt", "flat/b.key")]);
        assert!(of("empty").unwrap_err().contains("has no certificate with its key"));
        assert!(of("flat/ca.crt").unwrap_err().contains("has no key in it or beside it (looked for ca.key"));
        assert!(of("nowhere").unwrap_err().contains("cannot be read: no such file"));
    }
}
