//! The local certificate authority: one for each machine and user, made once, trusted by hand.
//!
//! People teach their mail programs to trust `ca.pem`, so it changes only when an administrator runs `certs
//! renew-ca`. A lost or foreign key, a damaged file, or a hostname that the CA may not sign is an error with its
//! own message. `ca.key` (mode 0600) holds the key and its certificate, so that the pair is replaced in one step;
//! `ca.pem` is a copy for clients, and is written again from `ca.key` if it is missing.
//!
//! The CA may sign only its own names: critical name constraints, path length 0. Today's mail programs enforce or
//! at least understand the constraints; without them a copied key could impersonate any site to every client that
//! trusts this CA. No revocation URLs: Windows would wait for their servers.

mod error;
mod shared;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

pub use error::AuthorityError;
pub use shared::SharedAuthority;

use super::names::HostNames;
use super::{TlsSettings, metadata};
use crate::files;
use crate::secret::{random_bytes, sha256};

/// Ten years, as mkcert does: longer than the life of a machine, because a new CA means work at every client.
const LIFETIME: Duration = Duration::days(3652);

/// Clients' clocks may run behind.
pub(super) const CLOCK_SKEW: Duration = Duration::days(1);

/// The local CA, opened: it can sign leaves.
pub struct Authority {
    directory: PathBuf,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    facts: Facts,
}

/// Fields of the certificate.
struct Facts {
    subject: String,
    key_id: Vec<u8>,
    not_after: OffsetDateTime,
}

impl Authority {
    /// Opens the CA of `settings.state_directory`, or makes one if there is none.
    ///
    /// Blocks on files, and on another process that makes the CA at this moment.
    pub fn open(settings: &TlsSettings, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let names = HostNames::new(&settings.hostnames).map_err(AuthorityError::NotAName)?;
        let directory = &settings.state_directory;
        let _lock = lock(directory)?;
        if let Some(shared) = &settings.shared {
            let authority = Self::of_text(directory, &shared.text())?;
            authority.write_certificate()?;
            authority.check(&names, now)?;
            return Ok(authority);
        }
        let authority = match (exists(&certificate_path(directory))?, exists(&key_path(directory))?) {
            (false, false) => Self::create(directory, &names, now)?,
            (true, false) => {
                return Err(AuthorityError::KeyMissing {
                    certificate: certificate_path(directory),
                    key: key_path(directory),
                });
            }
            (_, true) => Self::read(directory)?,
        };
        authority.check(&names, now)?;
        Ok(authority)
    }

    /// Whether `directory` has a CA that this user can see.
    pub fn is_there(directory: &Path) -> bool {
        [certificate_path(directory), key_path(directory)].iter().any(|path| path.exists())
    }

    /// Makes a new CA in place of the old one, even if the old one is damaged (`certs renew-ca`).
    ///
    /// Every client must be taught to trust the new `ca.pem`. A running `serve` starts to use it.
    pub fn renew(settings: &TlsSettings, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let names = HostNames::new(&settings.hostnames).map_err(AuthorityError::NotAName)?;
        let _lock = lock(&settings.state_directory)?;
        Self::create(&settings.state_directory, &names, now)
    }

    /// The file that clients must trust.
    pub fn ca_file(&self) -> PathBuf {
        certificate_path(&self.directory)
    }

    /// The certificate in PEM, as `certs export` writes it.
    pub fn pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// The certificate in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's name in clients' lists: `imap-oauth-proxy CA user@host`.
    pub fn subject(&self) -> &str {
        &self.facts.subject
    }

    /// The host names and addresses that it may sign certificates for.
    pub fn names(&self) -> Result<Vec<String>, AuthorityError> {
        let damaged = || AuthorityError::Damaged(self.ca_file());
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate).map_err(|_| damaged())?;
        Ok(super::names::permitted(&parsed))
    }

    /// The CA's last moment; leaves end no later.
    pub fn not_after(&self) -> OffsetDateTime {
        self.facts.not_after
    }

    /// SHA-256 of the certificate in the form that clients show: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        sha256(&self.certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The key id for the authority key identifier of leaves.
    pub(super) fn key_id(&self) -> &[u8] {
        &self.facts.key_id
    }

    fn create(directory: &Path, names: &HostNames, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        Self::write(directory, &made(names, now)?)
    }

    fn read(directory: &Path) -> Result<Self, AuthorityError> {
        let (path, public_path) = (key_path(directory), certificate_path(directory));
        if let Some(mode) = metadata::exposed_mode(&path).map_err(|error| unreadable(&path, error))? {
            return Err(AuthorityError::Exposed(path, mode));
        }
        let text = Zeroizing::new(read_text(&path)?);
        let key = KeyPair::from_pem(&text).map_err(|_| AuthorityError::Damaged(path.clone()))?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes());
        if !exists(&public_path)? {
            let certificate = certificate.map_err(|_| AuthorityError::Damaged(path))?;
            replace(&public_path, pem_of(&certificate).as_bytes(), 0o644)?;
            return Self::new(directory, certificate, key);
        }
        let public = CertificateDer::from_pem_slice(read_text(&public_path)?.as_bytes())
            .map_err(|_| AuthorityError::Damaged(public_path.clone()))?;
        // A key without its own certificate beside it does not belong to this CA.
        if certificate.ok().as_ref() != Some(&public) {
            return Err(AuthorityError::Mismatch { certificate: public_path, key: path });
        }
        Self::new(directory, public, key)
    }

    fn new(
        directory: &Path,
        certificate: CertificateDer<'static>,
        key: KeyPair,
    ) -> Result<Self, AuthorityError> {
        let path = certificate_path(directory);
        let (facts, public_key) = facts(&certificate).ok_or_else(|| AuthorityError::Damaged(path.clone()))?;
        if public_key != key.public_key_raw() {
            return Err(AuthorityError::Mismatch { certificate: path, key: key_path(directory) });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { directory: directory.to_owned(), certificate, issuer, facts })
    }

    fn check(&self, names: &HostNames, now: OffsetDateTime) -> Result<(), AuthorityError> {
        if self.facts.not_after <= now {
            return Err(AuthorityError::Expired(self.ca_file(), self.facts.not_after.date()));
        }
        let damaged = || AuthorityError::Damaged(self.ca_file());
        let (_, certificate) = X509Certificate::from_der(&self.certificate).map_err(|_| damaged())?;
        let Some(constraints) = certificate.name_constraints().map_err(|_| damaged())? else { return Ok(()) };
        let permitted = constraints.value.permitted_subtrees.as_deref().unwrap_or_default();
        let permitted: Vec<_> = permitted.iter().map(|subtree| subtree.base.clone()).collect();
        match names.first_not_permitted(&permitted) {
            Some(name) => Err(AuthorityError::NotPermitted { name, certificate: self.ca_file() }),
            None => Ok(()),
        }
    }
}

/// A new key and its certificate, in PEM.
fn made(names: &HostNames, now: OffsetDateTime) -> Result<Zeroizing<String>, AuthorityError> {
    let key = KeyPair::generate()?;
    let certificate = parameters(names, now).self_signed(&key)?;
    Ok(Zeroizing::new(format!("{}{}", *Zeroizing::new(key.serialize_pem()), certificate.pem())))
}

/// The fields of a CA certificate (RFC 5280 §4.2.1).
fn parameters(names: &HostNames, now: OffsetDateTime) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(common_name()));
    // Distinguishes a renewed CA from the old one, for people and for clients that find issuers only by name.
    let made = format!("made {} {:02}:{:02}:{:02} UTC", now.date(), now.hour(), now.minute(), now.second());
    parameters.distinguished_name.push(DnType::OrganizationalUnitName, made);
    parameters.serial_number = Some(serial_number());
    parameters.not_before = now.saturating_sub(CLOCK_SKEW);
    parameters.not_after = now.saturating_add(LIFETIME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.name_constraints = Some(names.constraints());
    parameters
}

/// Names the CA's owner, for a person who finds it in a list of authorities later.
fn common_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid-{}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = format!("imap-oauth-proxy CA {user}@{host}");
    // At most 64 characters (RFC 5280 appendix A.1), and no control characters.
    name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect()
}

/// 127 random bits, positive and without leading zeros (RFC 5280 §4.1.2.2 allows 20 bytes).
pub(super) fn serial_number() -> SerialNumber {
    let mut bytes = random_bytes::<16>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Reads the needed fields of a CA certificate, and its public key; `None` if it is no CA certificate.
fn facts(certificate: &CertificateDer<'_>) -> Option<(Facts, Vec<u8>)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key_id = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })?;
    let facts = Facts {
        subject: certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned(),
        key_id,
        not_after: OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp()).ok()?,
    };
    certificate.is_ca().then(|| (facts, certificate.public_key().subject_public_key.data.to_vec()))
}

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn certificate_path(directory: &Path) -> PathBuf {
    directory.join("ca.pem")
}

fn key_path(directory: &Path) -> PathBuf {
    directory.join("ca.key")
}

/// Waits for the lock under which the CA and the listener certificates are made; making a key takes up to a second.
pub(super) fn lock(directory: &Path) -> Result<fs::File, AuthorityError> {
    let locked = files::make_directory(directory).and_then(|()| files::lock(&directory.join("tls.lock")));
    locked.map_err(|error| AuthorityError::Unwritable(directory.to_owned(), error))
}

fn exists(path: &Path) -> Result<bool, AuthorityError> {
    path.try_exists().map_err(|error| unreadable(path, error))
}

fn read_text(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => AuthorityError::Damaged(path.to_owned()),
        _ => unreadable(path, error),
    })
}

fn replace(path: &Path, contents: &[u8], mode: u32) -> Result<(), AuthorityError> {
    files::replace(path, contents, mode).map_err(|error| AuthorityError::Unwritable(path.to_owned(), error))
}

fn unreadable(path: &Path, error: io::Error) -> AuthorityError {
    AuthorityError::Unreadable(path.to_owned(), error)
}
