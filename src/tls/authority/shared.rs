//! The CA of a store that several machines share.
//!
//! The CA's key and certificate are one text, as in `ca.key`. The store keeps this text sealed; no file of a machine
//! holds the key. Each machine signs its own leaves with the key, and keeps `ca.pem`, the copy for clients. When a
//! store is moved, the text moves with it, between the store and the state directory, so that no client has to trust
//! another CA.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{
    Authority, AuthorityError, certificate_path, exists, key_path, lock, made, pem_of, read_text, replace,
};
use crate::secret::Secret;
use crate::tls::TlsSettings;
use crate::tls::names::HostNames;

/// The text of the CA, which is replaced when a command renews the CA. Not printable.
pub struct SharedAuthority(ArcSwap<Zeroizing<String>>);

impl SharedAuthority {
    /// The CA with this text.
    pub fn new(text: &Secret) -> Self {
        Self(ArcSwap::from_pointee(Zeroizing::new(text.expose().to_owned())))
    }

    /// Replaces the text; returns whether it has changed.
    pub fn replace(&self, text: &Secret) -> bool {
        if self.text().as_str() == text.expose() {
            return false;
        }
        self.0.store(Arc::new(Zeroizing::new(text.expose().to_owned())));
        true
    }

    pub(in crate::tls) fn text(&self) -> Arc<Zeroizing<String>> {
        self.0.load_full()
    }
}

/// A value is equal only to itself, because its text can change.
impl PartialEq for SharedAuthority {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for SharedAuthority {}

impl std::fmt::Debug for SharedAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedAuthority")
    }
}

impl Authority {
    /// The text of a new CA, which is stored nowhere yet.
    pub fn make(settings: &TlsSettings, now: OffsetDateTime) -> Result<Secret, AuthorityError> {
        let names = HostNames::new(&settings.hostnames).map_err(AuthorityError::NotAName)?;
        Ok(Secret::new(made(&names, now)?.as_str()))
    }

    /// Whether `directory` has the key of a CA, and this user can see it. `ca.pem` alone is not enough: each machine on
    /// a shared store keeps that file.
    pub fn has_key(directory: &Path) -> bool {
        key_path(directory).exists()
    }

    /// The text of the CA in the files of `directory`, if its key is there.
    pub fn text_in(directory: &Path) -> Result<Option<Secret>, AuthorityError> {
        let key = key_path(directory);
        if !exists(&key)? {
            return Ok(None);
        }
        let _lock = lock(directory)?;
        Self::read(directory)?;
        Ok(Some(Secret::new(read_text(&key)?)))
    }

    /// Replaces the CA in the files of `directory`.
    pub fn put_into(directory: &Path, text: &Secret) -> Result<(), AuthorityError> {
        let _lock = lock(directory)?;
        Self::write(directory, text.expose()).map(drop)
    }

    /// Removes the key from the files of `directory`, once a store holds it.
    pub fn remove_key(directory: &Path) -> Result<PathBuf, AuthorityError> {
        let _lock = lock(directory)?;
        let key = key_path(directory);
        match std::fs::remove_file(&key) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(AuthorityError::Unwritable(key, error))
            }
            _ => Ok(key),
        }
    }

    pub(super) fn write(directory: &Path, text: &str) -> Result<Self, AuthorityError> {
        let authority = Self::of_text(directory, text)?;
        // The key is written first: a crash in between leaves the old `ca.pem` beside it, and the next start notices
        // the difference.
        replace(&key_path(directory), text.as_bytes(), 0o600)?;
        replace(&certificate_path(directory), authority.pem().as_bytes(), 0o644)?;
        Ok(authority)
    }

    pub(super) fn of_text(directory: &Path, text: &str) -> Result<Self, AuthorityError> {
        let damaged = || AuthorityError::Damaged(certificate_path(directory));
        let key = KeyPair::from_pem(text).map_err(|_| damaged())?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| damaged())?;
        Self::new(directory, certificate, key)
    }

    /// Writes `ca.pem`, unless it is that of this CA.
    pub(super) fn write_certificate(&self) -> Result<(), AuthorityError> {
        let (path, pem) = (self.ca_file(), pem_of(&self.certificate));
        match std::fs::read(&path) {
            Ok(found) if found == pem.as_bytes() => Ok(()),
            _ => replace(&path, pem.as_bytes(), 0o644),
        }
    }
}
