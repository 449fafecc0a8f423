//! Secrets, and the seal that keeps them at rest.
//!
//! A [`Secret`] has no printable form and is wiped when it is dropped. A [`Sealer`] encrypts a secret with
//! XChaCha20-Poly1305 and a random 24-byte nonce. The associated data is the identity of the row that holds
//! the value, so a sealed value moved to another row no longer opens.
//!
//! The layout of a sealed value is versioned: one byte version (1), four bytes key id (big endian), 24 bytes
//! nonce, ciphertext with its 16-byte tag. The key is 32 random bytes; it is never derived from a mail
//! password.

mod access;
pub mod bundle;
mod key;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub use access::{FileAccess, ModeFault};
pub use key::{Key, KeyError, KeySource};

/// A text that must not be seen: a password, a token, a client secret.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself; every call site is a place to review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Equal in constant time for texts of the same length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(self.expose().as_bytes(), other.expose().as_bytes())
    }
}

impl Eq for Secret {}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Compares in constant time, so that the duration does not tell where two values of one length differ.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// If the system provides no random bytes, which does not happen in practice; nothing here would be safe
/// without them.
#[allow(clippy::expect_used)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// `N` random bytes as unpadded base64url, which is safe in URLs, file names and mail programs' settings.
pub fn random_text<const N: usize>() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Zeroizing::new(random_bytes::<N>()))
}

/// Seals and opens the secrets in the store.
///
/// A value with an unknown key id makes the sealer read its key source again, so a running process learns of
/// a rotation from the first value that uses the new key.
pub struct Sealer {
    ring: ArcSwap<KeyRing>,
    source: Option<KeySource>,
}

/// Keys by their ids.
struct KeyRing {
    keys: BTreeMap<u32, XChaCha20Poly1305>,
    /// The id of the key that seals new values.
    current: u32,
}

impl KeyRing {
    fn new(keys: impl IntoIterator<Item = (u32, Key)>) -> Option<Self> {
        let keys: BTreeMap<_, _> =
            keys.into_iter().map(|(id, key)| (id, XChaCha20Poly1305::new((&*key).into()))).collect();
        let current = *keys.keys().next_back()?;
        Some(Self { keys, current })
    }
}

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;
const HEADER_LENGTH: usize = 1 + 4 + NONCE_LENGTH;

impl Sealer {
    /// A sealer over `keys` (id and 32 bytes), sealing with the highest id.
    pub fn new(keys: impl IntoIterator<Item = (u32, Key)>) -> Option<Self> {
        Some(Self { ring: ArcSwap::from_pointee(KeyRing::new(keys)?), source: None })
    }

    /// The id of the key that [`Sealer::seal`] uses.
    pub fn current_key(&self) -> u32 {
        self.ring.load().current
    }

    /// The ids of all keys, in order.
    pub fn key_ids(&self) -> Vec<u32> {
        self.ring.load().keys.keys().copied().collect()
    }

    /// Reads the keys again from their source.
    pub fn reload(&self) -> Result<(), KeyError> {
        let Some(source) = &self.source else { return Ok(()) };
        if let Some(ring) = KeyRing::new(source.read()?) {
            self.ring.store(Arc::new(ring));
        }
        Ok(())
    }

    /// The keys, read again from the source if `id` is not among them.
    fn ring_with(&self, id: u32) -> Arc<KeyRing> {
        let ring = self.ring.load_full();
        if ring.keys.contains_key(&id) {
            return ring;
        }
        match self.reload() {
            Ok(()) => self.ring.load_full(),
            Err(error) => {
                tracing::error!(
                    "a value is sealed with key {id}, and the keys cannot be read again: {error}"
                );
                ring
            }
        }
    }

    /// The id of the key that sealed `sealed`, or `None` if `sealed` is no sealed value.
    pub fn key_of(sealed: &[u8]) -> Option<u32> {
        let (&VERSION, rest) = sealed.split_first()? else { return None };
        Some(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?))
    }

    /// Seals `secret` for the row that `context` names.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let ring = self.ring.load();
        let cipher = ring.keys.get(&ring.current).ok_or(SealError::UnknownKey(ring.current))?;
        let nonce = random_bytes::<NONCE_LENGTH>();
        let payload = Payload { msg: secret, aad: context.as_bytes() };
        let ciphertext =
            cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(HEADER_LENGTH + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&ring.current.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens a value that [`Sealer::seal`] made for the same `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = Self::key_of(sealed).ok_or(SealError::Malformed)?;
        let nonce = sealed.get(5..HEADER_LENGTH).ok_or(SealError::Malformed)?;
        let ciphertext = sealed.get(HEADER_LENGTH..).ok_or(SealError::Malformed)?;
        let ring = self.ring_with(key);
        let cipher = ring.keys.get(&key).ok_or(SealError::UnknownKey(key))?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        cipher.decrypt(XNonce::from_slice(nonce), payload).map(Zeroizing::new).map_err(|_| SealError::Refused)
    }

    /// Like [`Sealer::open`], for a sealed text.
    pub fn open_text(&self, context: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let bytes = self.open(context, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SealError::Malformed)?;
        Ok(Secret::new(text))
    }
}

/// Why a value could not be sealed or opened. None of these changes anything.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The administrator has to restore a key: the value was sealed with a key that is not among the keys
    /// given.
    #[error("it was sealed with key {0}, which is not among the keys given; restore that key")]
    UnknownKey(u32),
    /// The key with this id is another one, or the value was altered or belongs to another row.
    #[error(
        "the key does not open it: the key is not the one this store was made with, or the value was altered"
    )]
    Refused,
    /// The value is no sealed value.
    #[error("it is not a sealed value")]
    Malformed,
    /// The secret is longer than the cipher takes. No real secret is.
    #[error("it is too long to be sealed")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(id: u32, byte: u8) -> Sealer {
        Sealer::new([(id, Zeroizing::new([byte; 32]))]).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_row_only() {
        let sealer = sealer(1, 7);
        let sealed = sealer.seal("grant/1/refresh", b"1//token").unwrap();
        assert_eq!(sealer.open_text("grant/1/refresh", &sealed).unwrap(), Secret::new("1//token"));
        assert_eq!(sealer.open("grant/2/refresh", &sealed).unwrap_err(), SealError::Refused);
    }

    #[test]
    fn a_wrong_or_missing_key_is_told_apart() {
        let sealed = sealer(1, 7).seal("row", b"x").unwrap();
        assert_eq!(sealer(1, 8).open("row", &sealed).unwrap_err(), SealError::Refused);
        assert_eq!(sealer(2, 7).open("row", &sealed).unwrap_err(), SealError::UnknownKey(1));
    }

    #[test]
    fn no_input_makes_open_panic() {
        let sealer = sealer(1, 7);
        let sealed = sealer.seal("row", b"secret").unwrap();
        for end in 0..sealed.len() {
            assert!(sealer.open("row", &sealed[..end]).is_err());
        }
    }

    #[test]
    fn a_secret_has_no_printable_form() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
