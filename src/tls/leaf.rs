//! Leaves: the short-lived certificates that listeners show, signed by the local CA.
//!
//! There are two leaves, because no single one suits every old mail program: ECDSA P-256 (Windows 7 can do nothing
//! modern with RSA) and RSA-2048. One file holds key and certificate (mode 0600), so that a restart finds a pair
//! or nothing. A leaf is replaced if it ends soon, names other hosts, was signed by an earlier CA or can be read
//! by others; clients trust the CA, not a leaf.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

use super::authority::{self, Authority, AuthorityError, CLOCK_SKEW, serial_number};
use super::names::HostNames;
use super::{crypto_provider, metadata};
use crate::files;

/// The life of a leaf, counted from the day before it is made; the strictest client accepts 398 days.
const LIFETIME: Duration = Duration::days(397);

/// The kind of key of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ecdsa,
    Rsa,
}

impl KeyKind {
    /// In order of preference: a P-256 signature costs a twentieth of an RSA one.
    pub(super) const ALL: [Self; 2] = [Self::Ecdsa, Self::Rsa];

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            Self::Ecdsa => "leaf-ecdsa.pem",
            Self::Rsa => "leaf-rsa.pem",
        })
    }

    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Ecdsa => KeyPair::generate(),
            Self::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }

    fn key_usages(self) -> Vec<KeyUsagePurpose> {
        match self {
            Self::Ecdsa => vec![KeyUsagePurpose::DigitalSignature],
            Self::Rsa => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment],
        }
    }
}

/// A leaf that can be shown.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) key: Arc<CertifiedKey>,
    /// When to renew the leaf: when a third of its life is left; `None` if a new leaf would end at the same time, with
    /// the CA.
    pub(super) renew_at: Option<OffsetDateTime>,
}

/// The leaf of `directory` if it is valid at `now`, else a new one in its place.
///
/// Blocks: on files, on another process that makes a leaf, and for making an RSA key (up to a second).
pub(super) fn ensure(
    directory: &Path,
    authority: &Authority,
    names: &HostNames,
    algorithm: KeyKind,
    now: OffsetDateTime,
) -> Result<Leaf, AuthorityError> {
    let path = algorithm.path(directory);
    if let Some(leaf) = read(&path, authority, names, now)? {
        return Ok(leaf);
    }
    let unwritable = |error| AuthorityError::Unwritable(path.clone(), error);
    let _lock = authority::lock(directory)?;
    if let Some(leaf) = read(&path, authority, names, now)? {
        return Ok(leaf);
    }
    let key = algorithm.generate()?;
    let certificate = parameters(authority, names, algorithm, now)?.signed_by(&key, authority.issuer())?;
    let both = Zeroizing::new(format!("{}{}", *Zeroizing::new(key.serialize_pem()), certificate.pem()));
    files::replace(&path, both.as_bytes(), 0o600).map_err(unwritable)?;
    tracing::info!(file = %path.display(), "made a new listener certificate");
    read(&path, authority, names, now)?.ok_or(AuthorityError::Damaged(path))
}

fn parameters(
    authority: &Authority,
    names: &HostNames,
    algorithm: KeyKind,
    now: OffsetDateTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, names.first());
    parameters.serial_number = Some(serial_number());
    parameters.not_before = now.saturating_sub(CLOCK_SKEW);
    parameters.not_after = parameters.not_before.saturating_add(LIFETIME).min(authority.not_after());
    parameters.subject_alt_names = names.alternative_names()?;
    // Explicitly no CA: only then does rcgen also write a subject key identifier.
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = algorithm.key_usages();
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// The leaf in `path`, if there is one that is still right.
fn read(
    path: &Path,
    authority: &Authority,
    names: &HostNames,
    now: OffsetDateTime,
) -> Result<Option<Leaf>, AuthorityError> {
    let unreadable = |error| AuthorityError::Unreadable(path.to_owned(), error);
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if metadata::exposed_mode(path).map_err(unreadable)?.is_some() {
        return Ok(None);
    }
    Ok(parse(&text).and_then(|key| fitting(key, authority, names, now)))
}

fn parse(text: &[u8]) -> Option<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(text).ok()?;
    CertifiedKey::from_der(chain, key, &crypto_provider()).ok()
}

fn fitting(key: CertifiedKey, authority: &Authority, names: &HostNames, now: OffsetDateTime) -> Option<Leaf> {
    let (_, certificate) = X509Certificate::from_der(key.cert.first()?).ok()?;
    let signed_by_it = certificate.iter_extensions().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().is_some_and(|id| id.0 == authority.key_id())
        }
        _ => false,
    });
    let alternative_names = certificate.subject_alternative_name().ok()??;
    if !signed_by_it || !names.are(&alternative_names.value.general_names) {
        return None;
    }
    let at = |time: x509_parser::time::ASN1Time| OffsetDateTime::from_unix_timestamp(time.timestamp()).ok();
    let (not_before, not_after) =
        (at(certificate.validity().not_before)?, at(certificate.validity().not_after)?);
    let ends_with_its_authority = not_after >= authority.not_after();
    let renew_at = (!ends_with_its_authority).then(|| not_after.saturating_sub((not_after - not_before) / 3));
    let good = not_before <= now && now < renew_at.unwrap_or(not_after);
    good.then(|| Leaf { key: Arc::new(key), renew_at })
}
