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
pub mod marks;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub use access::{FileAccess, ModeFault, user_name};
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

/// The SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
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
/// A value with an unknown key id makes the sealer read its key source again, so a running process learns of a rotation
/// from the first value that uses the new key. Where machines share the store, this process seals with a new key only
/// after it has opened a value that was sealed with that key ([`Sealer::seal_no_newer_than`]): until then another
/// machine may not have the key.
pub struct Sealer {
    ring: ArcSwap<KeyRing>,
    source: Option<KeySource>,
    /// No key with a higher id seals.
    newest: AtomicU32,
}

/// Keys by their ids; not empty.
struct KeyRing(BTreeMap<u32, RingKey>);

struct RingKey {
    cipher: XChaCha20Poly1305,
    /// A fingerprint: two keys with the same id have different ones. It reveals nothing about the key, which is random.
    print: String,
}

impl RingKey {
    fn new(key: &Key) -> Self {
        let mut text = Zeroizing::new(b"imap-oauth-proxy key ".to_vec());
        text.extend_from_slice(&**key);
        let print = sha256(&text).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { cipher: XChaCha20Poly1305::new((&**key).into()), print }
    }
}

impl KeyRing {
    fn new(keys: impl IntoIterator<Item = (u32, Key)>) -> Option<Self> {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|(id, key)| (id, RingKey::new(&key))).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The id of the key that seals: the highest that is not above `newest`, or the lowest if all are.
    fn current(&self, newest: u32) -> u32 {
        let known = self.0.range(..=newest).next_back().or_else(|| self.0.first_key_value());
        known.map_or(0, |(id, _)| *id)
    }

    fn lacks(&self, id: u32) -> SealError {
        SealError::UnknownKey(id, self.0.keys().copied().collect())
    }
}

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;
const HEADER_LENGTH: usize = 1 + 4 + NONCE_LENGTH;

impl Sealer {
    /// A sealer over `keys` (id and 32 bytes), sealing with the highest id.
    pub fn new(keys: impl IntoIterator<Item = (u32, Key)>) -> Option<Self> {
        Some(Self::of(KeyRing::new(keys)?, None))
    }

    fn of(ring: KeyRing, source: Option<KeySource>) -> Self {
        Self { ring: ArcSwap::from_pointee(ring), source, newest: AtomicU32::new(u32::MAX) }
    }

    /// The id of the key that [`Sealer::seal`] uses.
    pub fn current_key(&self) -> u32 {
        self.ring.load().current(self.newest.load(Ordering::Relaxed))
    }

    /// The ids of all keys, in order.
    pub fn key_ids(&self) -> Vec<u32> {
        self.ring.load().0.keys().copied().collect()
    }

    /// The names of all keys, for other processes: the id, and a fingerprint that distinguishes two keys with one id.
    pub fn key_names(&self) -> Vec<String> {
        self.ring.load().0.iter().map(|(id, key)| format!("{id}:{}", key.print)).collect()
    }

    /// From now on no key newer than `id` seals, until a call of [`Sealer::seal_with`], or a value sealed with such a
    /// key, shows that all machines have it.
    pub fn seal_no_newer_than(&self, id: u32) {
        self.newest.store(id, Ordering::Relaxed);
    }

    /// From now on the key `id` seals, if it is newer than the key that sealed until now.
    pub fn seal_with(&self, id: u32) {
        self.newest.fetch_max(id, Ordering::Relaxed);
    }

    /// Reads the keys again from their source.
    pub fn reload(&self) -> Result<(), KeyError> {
        let Some(source) = &self.source else { return Ok(()) };
        if let Some(ring) = KeyRing::new(source.read()?) {
            self.ring.store(Arc::new(ring));
        }
        Ok(())
    }

    /// Reads the keys again before something new is sealed, because a rotation of the keys keeps only the newest. A
    /// key command is not run: its vault may take half a minute or be away, and the first value that is sealed with a
    /// newer key has the command run in any case. A failure changes nothing.
    pub fn refresh(&self) {
        if matches!(self.source, Some(KeySource::Command(_))) {
            return;
        }
        if let Err(error) = self.reload() {
            tracing::debug!("the keys cannot be read again: {error}");
        }
    }

    /// The keys, read again from the source if `id` is not among them.
    fn ring_with(&self, id: u32) -> Arc<KeyRing> {
        let ring = self.ring.load_full();
        if ring.0.contains_key(&id) {
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
        let current = ring.current(self.newest.load(Ordering::Relaxed));
        let cipher = &ring.0.get(&current).ok_or_else(|| ring.lacks(current))?.cipher;
        let nonce = random_bytes::<NONCE_LENGTH>();
        let payload = Payload { msg: secret, aad: context.as_bytes() };
        let ciphertext =
            cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(HEADER_LENGTH + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&current.to_be_bytes());
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
        let cipher = &ring.0.get(&key).ok_or_else(|| ring.lacks(key))?.cipher;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let opened = cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Refused)?;
        self.seal_with(key);
        Ok(Zeroizing::new(opened))
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
    #[error(
        "it was sealed with key {0}, which is not among the keys given (key {given}); restore that key",
        given = .1.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    UnknownKey(u32, Vec<u32>),
    /// The key with this id is not the one that sealed the value, or the value was altered or belongs to another row.
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
        assert_eq!(sealer(2, 7).open("row", &sealed).unwrap_err(), SealError::UnknownKey(1, vec![2]));
    }

    #[test]
    fn a_newer_key_seals_only_once_a_value_shows_that_it_is_in_use() {
        let keys = || [(1, Zeroizing::new([7; 32])), (2, Zeroizing::new([8; 32]))];
        let (held, other) = (Sealer::new(keys()).unwrap(), Sealer::new(keys()).unwrap());
        held.seal_no_newer_than(1);
        assert_eq!((held.current_key(), other.current_key()), (1, 2));
        assert_eq!(Sealer::key_of(&held.seal("row", b"x").unwrap()), Some(1));
        let sealed = other.seal("row", b"x").unwrap();
        held.open("row", &sealed).unwrap();
        assert_eq!(Sealer::key_of(&held.seal("row", b"x").unwrap()), Some(2));
        assert_eq!(held.key_names(), other.key_names());
        assert_ne!(held.key_names()[0], sealer(1, 8).key_names()[0], "another key with the same id");
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
