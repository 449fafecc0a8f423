//! The certificates that listeners show to mail programs, kept fresh.
//!
//! An [`Identity`] is loaded before any address is bound, so that a mistake in the files stops the program with
//! one sentence. Later errors do not stop it: [`Identity::changed`] checks the files and the wall clock every few
//! seconds (never one long sleep, because machines suspend), and the current certificates stay while new ones
//! cannot be loaded. This covers the renewal of leaves, `certs renew-ca` in another process, and new files of the
//! user.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration as StdDuration;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::TlsSettings;
use super::authority::{Authority, AuthorityError};
use super::leaf::{self, KeyKind};
use super::metadata::Stamp;
use super::names::HostNames;
use super::own::{self, OwnCertificateError};
use crate::mutex::lock;

/// After this time a running proxy shows no certificate that `certs renew-ca` has replaced, and resumes no older
/// session; a check costs four `stat` calls.
const LOOK_EVERY: StdDuration = StdDuration::from_secs(5);

/// How long before the CA's end the warning begins: a new CA means work at every client.
const CA_EXPIRES_SOON: Duration = Duration::days(60);

/// The certificates in use; shared by all listeners.
pub struct Identity {
    settings: TlsSettings,
    shown: ArcSwap<Shown>,
    state: Mutex<State>,
}

/// The certificates of one load, in order of preference.
pub(super) struct Shown(Vec<Arc<CertifiedKey>>);

struct State {
    stamps: Stamps,
    look_again_at: OffsetDateTime,
    warnings: Vec<IdentityWarning>,
}

/// The files and the text that the certificates were loaded from.
#[derive(PartialEq, Eq)]
struct Stamps {
    files: Vec<Stamp>,
    /// The text of a CA that machines share.
    shared: Option<Arc<Zeroizing<String>>>,
}

impl Identity {
    /// Loads the user's own certificate, or the local CA's leaves, which are made if there are none.
    ///
    /// Blocks: on files, and for up to a second when an RSA key is made for the first time.
    pub fn load(settings: TlsSettings, now: OffsetDateTime) -> Result<Self, IdentityError> {
        let (loaded, stamps) = load_steadily(&settings, now)?;
        Ok(Self {
            settings,
            shown: ArcSwap::from_pointee(Shown(loaded.keys)),
            state: Mutex::new(State {
                stamps,
                look_again_at: loaded.look_again_at,
                warnings: loaded.warnings,
            }),
        })
    }

    /// The CA file that mail programs must trust; `None` with the user's own certificate.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.settings.certificate.is_none().then(|| self.settings.state_directory.join("ca.pem"))
    }

    /// The end of the first certificate to end.
    pub fn ends_at(&self) -> Option<OffsetDateTime> {
        self.shown().0.iter().filter_map(|key| own::not_after(&key.cert)).min()
    }

    /// Warnings for the administrator: an exposed key, a certificate that ends soon.
    pub fn warnings(&self) -> Vec<IdentityWarning> {
        lock(&self.state).warnings.clone()
    }

    /// Loads again if files changed or a renewal is due; returns whether it did. Blocks.
    ///
    /// After an error the current certificates stay. The same files are tried again only after a change, or after
    /// ten minutes.
    pub fn refresh(&self, now: OffsetDateTime) -> Result<bool, IdentityError> {
        let mut state = lock(&self.state);
        let stamps = stamps(&self.settings);
        if stamps == state.stamps && now < state.look_again_at {
            return Ok(false);
        }
        match load_steadily(&self.settings, now) {
            Ok((loaded, stamps)) => {
                self.show(Shown(loaded.keys));
                *state = State { stamps, look_again_at: loaded.look_again_at, warnings: loaded.warnings };
                Ok(true)
            }
            Err(error) => {
                state.stamps = stamps;
                state.look_again_at = now.saturating_add(Duration::minutes(10));
                Err(error)
            }
        }
    }

    /// The certificates for new handshakes. The same object as long as the certificates are the same.
    pub(super) fn shown(&self) -> Arc<Shown> {
        self.shown.load_full()
    }

    fn show(&self, shown: Shown) {
        if !self.shown.load().is_same(&shown) {
            self.shown.store(Arc::new(shown));
        }
    }

    /// Refreshes until other certificates are loaded, or loading fails.
    pub async fn changed(self: &Arc<Self>) -> Result<(), IdentityError> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let identity = Arc::clone(self);
            let refreshed = tokio::task::spawn_blocking(move || identity.refresh(OffsetDateTime::now_utc()));
            match refreshed.await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }
}

impl Shown {
    /// A certificate contains its public key, so equal chains have equal keys.
    fn is_same(&self, other: &Self) -> bool {
        self.0.iter().map(|key| &key.cert).eq(other.0.iter().map(|key| &key.cert))
    }
}

/// The first key that the client can verify. rustls has reduced the client's signature schemes to
/// those that go with a cipher suite it offers, so this holds for TLS 1.2 as well.
impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // If none suits, rustls sends the right alert.
        self.0.iter().find(suits).or(self.0.first()).cloned()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Loaded {
    keys: Vec<Arc<CertifiedKey>>,
    warnings: Vec<IdentityWarning>,
    /// When to load again even if no file changed.
    look_again_at: OffsetDateTime,
}

/// Repeats the load until the files are the same before and after it: they change when this process makes them, or
/// while another one writes them.
fn load_steadily(settings: &TlsSettings, now: OffsetDateTime) -> Result<(Loaded, Stamps), IdentityError> {
    let mut before = stamps(settings);
    for _ in 0..2 {
        let loaded = load(settings, now);
        let after = stamps(settings);
        if before == after {
            return Ok((loaded?, after));
        }
        before = after;
    }
    Ok((load(settings, now)?, before))
}

fn load(settings: &TlsSettings, now: OffsetDateTime) -> Result<Loaded, IdentityError> {
    match &settings.certificate {
        Some((certificate, key)) => load_own(certificate, key, now),
        None => load_leaves(settings, now),
    }
}

fn load_own(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Loaded, IdentityError> {
    let own = own::load(certificate, key, now)?;
    let warnings = own.warnings.into_iter().map(IdentityWarning::Own).collect();
    Ok(Loaded { keys: vec![own.key], warnings, look_again_at: own.look_again_at })
}

fn load_leaves(settings: &TlsSettings, now: OffsetDateTime) -> Result<Loaded, IdentityError> {
    let authority = Authority::open(settings, now)?;
    let names = HostNames::new(&settings.hostnames).map_err(AuthorityError::NotAName)?;
    let leaves = KeyKind::ALL
        .map(|algorithm| leaf::ensure(&settings.state_directory, &authority, &names, algorithm, now));
    let leaves = leaves.into_iter().collect::<Result<Vec<_>, _>>()?;

    let mut warnings = Vec::new();
    let mut look_again_at = authority.not_after().saturating_sub(CA_EXPIRES_SOON);
    if look_again_at <= now {
        look_again_at = now.saturating_add(Duration::days(1));
        warnings.push(IdentityWarning::AuthorityEnds(authority.ca_file(), authority.not_after().date()));
    }
    let look_again_at =
        leaves.iter().filter_map(|leaf| leaf.renew_at).fold(look_again_at, OffsetDateTime::min);
    Ok(Loaded { keys: leaves.into_iter().map(|leaf| leaf.key).collect(), warnings, look_again_at })
}

fn stamps(settings: &TlsSettings) -> Stamps {
    Stamps { files: files(settings), shared: settings.shared.as_ref().map(|shared| shared.text()) }
}

fn files(settings: &TlsSettings) -> Vec<Stamp> {
    match &settings.certificate {
        Some((certificate, key)) => vec![Stamp::of(certificate), Stamp::of(key)],
        None => {
            let directory = &settings.state_directory;
            let leaves = KeyKind::ALL.map(|algorithm| algorithm.path(directory));
            let authority = [directory.join("ca.pem"), directory.join("ca.key")];
            authority.iter().chain(&leaves).map(|path| Stamp::of(path)).collect()
        }
    }
}

/// Why there is no certificate to show. At the first load, no address is bound then.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The local CA's files or `[tls] hostnames` are wrong.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The files of `[tls] certificate` and `key` are wrong.
    #[error(transparent)]
    Own(#[from] OwnCertificateError),
}

impl IdentityError {
    /// Whether only a new CA helps.
    pub fn needs_new_ca(&self) -> bool {
        matches!(self, Self::Authority(error) if error.needs_new_ca())
    }
}

/// A warning about certificates in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityWarning {
    /// Other users can read the user's own key, or the certificate ends soon.
    #[error("{0}")]
    Own(String),
    /// The CA ends within two months, and every mail program needs the new one.
    #[error(
        "the CA certificate {} ends on {}; make a new one in time, which every mail program must then be taught to trust",
        .0.display(),
        .1
    )]
    AuthorityEnds(PathBuf, time::Date),
}

impl IdentityWarning {
    /// Whether a new CA helps.
    pub fn needs_new_ca(&self) -> bool {
        matches!(self, Self::AuthorityEnds(..))
    }
}
