//! The user's own certificate: a chain and a key in PEM files that another program maintains.
//!
//! The key may be PKCS#8, PKCS#1 or SEC1. The pair is checked before it is used, so that a renewal caught half-way
//! (new chain, old key) never reaches a mail program. A key that other users can read gives only a warning: the
//! files belong to the user, and group access is common.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::crypto_provider;
use crate::secret::FileAccess;

/// How long before the end the warning begins. Programs that renew certificates by a timer do it weeks earlier, so by
/// then the renewal has failed.
const EXPIRES_SOON: Duration = Duration::days(14);

/// The pair, and warnings about it for the administrator.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) warnings: Vec<String>,
    /// When to load it again even if the files have not changed.
    pub(super) look_again_at: OffsetDateTime,
}

/// Reads and checks the pair.
pub(super) fn load(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Own, OwnCertificateError> {
    let chain = read_chain(certificate)?;
    let mut warnings = Vec::new();
    if let Ok(Some(access)) = FileAccess::of(key)
        && (access.others_read() || access.group_or_others_write())
    {
        warnings.push(access.fault("the key", key).to_string());
    }
    let not_after =
        not_after(&chain).ok_or_else(|| OwnCertificateError::NoCertificate(certificate.to_owned()))?;
    if not_after <= now.saturating_add(EXPIRES_SOON) {
        let (path, verb) = (certificate.display(), if not_after <= now { "ended" } else { "ends" });
        let date = not_after.date();
        warnings.push(format!(
            "the certificate {path} {verb} on {date}; renew it: the new files are picked up by themselves"
        ));
    }
    let key = read_key(certificate, key, chain)?;
    let soon = not_after.saturating_sub(EXPIRES_SOON);
    let look_again_at = if now < soon { soon } else { now.saturating_add(Duration::days(1)) };
    Ok(Own { key: Arc::new(key), warnings, look_again_at })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, OwnCertificateError> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(OwnCertificateError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn read_key(
    certificate: &Path,
    path: &Path,
    chain: Vec<CertificateDer<'static>>,
) -> Result<CertifiedKey, OwnCertificateError> {
    let text = read(path)?;
    let Ok(key) = PrivateKeyDer::from_pem_slice(&text) else {
        let encrypted = String::from_utf8_lossy(&text).contains("ENCRYPTED");
        let path = path.to_owned();
        return Err(if encrypted {
            OwnCertificateError::Encrypted(path)
        } else {
            OwnCertificateError::NoKey(path)
        });
    };
    CertifiedKey::from_der(chain, key, &crypto_provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            OwnCertificateError::Mismatch { certificate: certificate.to_owned(), key: path.to_owned() }
        }
        Error::InvalidCertificate(_) => OwnCertificateError::NoCertificate(certificate.to_owned()),
        _ => OwnCertificateError::NoKey(path.to_owned()),
    })
}

/// The end of the first certificate of a PEM text; `None` if there is none.
pub fn end_of_certificate(pem: &[u8]) -> Option<OffsetDateTime> {
    not_after(&[CertificateDer::from_pem_slice(pem).ok()?])
}

/// The end of the first certificate of `chain`.
pub(super) fn not_after(chain: &[CertificateDer<'_>]) -> Option<OffsetDateTime> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp()).ok()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, OwnCertificateError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| OwnCertificateError::Unreadable(path.to_owned(), error))
}

/// Why the configured certificate cannot be used. Each is for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateError {
    /// An operating system's refusal.
    #[error("the TLS file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is not PEM with certificates.
    #[error(
        "{0} holds no certificate in PEM; [tls] certificate must name the full chain, the server's own first"
    )]
    NoCertificate(PathBuf),
    /// The file is not PEM with a key for TLS.
    #[error("{0} holds no usable private key in PEM; [tls] key must name an RSA, ECDSA or Ed25519 key")]
    NoKey(PathBuf),
    /// A passphrase protects the key.
    #[error("the key {0} is encrypted; write it without a passphrase: openssl pkey -in {0} -out plain.key")]
    Encrypted(PathBuf),
    /// The files belong to two certificates, or the chain is in the wrong order.
    #[error(
        "the key {key} does not belong to the first certificate in {certificate}; name the files of one pair, the server's own certificate first"
    )]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key of another certificate.
        key: PathBuf,
    },
}
