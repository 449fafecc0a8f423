//! TLS on both legs: what mail programs see of us, and what we demand of providers.
//!
//! * [`Socket`] is the only way in which the rest of the program sees TLS.
//! * [`Acceptor`] is the server side. Its certificates come from an [`Identity`]: files of the
//!   user's own, or leaves of the local [`Authority`] that are renewed before they end.
//! * [`Connector`] is the client side. It verifies chain, name and dates of every provider, and
//!   nothing turns that off; `extra_ca` adds roots, it takes no check away.
//!
//! One crypto provider, TLS 1.2 and 1.3. TLS 1.2 stays for Exchange Online and for old mail programs, with
//! forward-secret AEAD suites only.

mod accept_error;
mod acceptor;
mod authority;
mod connect_error;
mod connector;
mod handshake;
mod identity;
mod leaf;
mod metadata;
mod names;
mod own;
mod record;
#[doc(hidden)]
pub mod sans_io;
mod session;
mod sessions;
mod socket;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

pub use accept_error::AcceptError;
pub use acceptor::{Acceptor, FirstBytes};
pub use authority::{Authority, AuthorityError};
pub use connect_error::ConnectError;
pub use connector::{Connector, ConnectorError};
pub use identity::{Identity, IdentityError, IdentityWarning};
pub use own::OwnCertificateError;
pub use socket::{FULL_READ, Socket};

/// What the listeners' certificates are made from: the `[tls]` table, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The user's own certificate (chain, leaf first) and its key, both PEM. `None`: the local CA.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Names and IP addresses beside `localhost`, `127.0.0.1` and `::1` for the own certificate.
    pub hostnames: Vec<String>,
    /// Where the local CA and its leaves live; made with mode 0700 where it is missing.
    pub state_directory: PathBuf,
}

/// The one crypto provider of both legs.
///
/// aws-lc-rs's key exchange, signatures and random numbers, and ring's cipher suites: aws-lc's AES-GCM seals
/// only records that are counted from 0, and a session of ours begins where rustls's connection ends (`record`).
/// AES-128-GCM stands in front of AES-256-GCM: a relay spends its time in the cipher, and ten rounds cost less
/// than fourteen for a strength that no attacker reaches either way.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = ring::DEFAULT_CIPHER_SUITES.to_vec();
        // A stable sort: TLS 1.3 suites stay in front, and each family keeps its order otherwise.
        provider.cipher_suites.sort_by_key(|suite| (family(suite), !is_aes_128(suite)));
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

fn family(suite: &SupportedCipherSuite) -> u8 {
    match suite {
        SupportedCipherSuite::Tls13(_) => 0,
        SupportedCipherSuite::Tls12(_) => 1,
    }
}

fn is_aes_128(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}
