//! Seals a text for another host: under a passphrase, or for that host's own key.
//!
//! A bundle is text between two marker lines, so that it survives mail, terminals and clipboards. In it,
//! in base64: one byte version, one byte kind, and what depends on them.
//!
//! * Kind 1, version 1: 16 bytes salt (argon2id with 64 MiB and 3 passes), 24 bytes nonce, and the XChaCha20-Poly1305
//!   ciphertext, with all bytes before it as associated data.
//! * Kind 2, version 2: HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//!   ChaCha20-Poly1305: the 32-byte encapsulated key and the ciphertext, with the first two bytes as associated data.
//! * Kind 2, version 1: of earlier releases, only read; see `version_1`.

mod version_1;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as HPKE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use super::{Key, Secret, random_bytes};

const BEGIN: &str = "-----BEGIN IMAP-OAUTH-PROXY ACCOUNT-----";
const END: &str = "-----END IMAP-OAUTH-PROXY ACCOUNT-----";
const FOR_PASSPHRASE: u8 = 1;
const FOR_RECIPIENT: u8 = 2;
/// Binds what is sealed for a recipient to this use of the recipient's key.
const INFO: &[u8] = b"imap-oauth-proxy account bundle 2";
const SALT_LENGTH: usize = 16;
const PUBLIC_KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;
const LINE_LENGTH: usize = 64;
/// The prefix of a recipient key, so that it is not mistaken for another kind of key.
const RECIPIENT_PREFIX: &str = "iop1-";
/// argon2id for a passphrase that protects a transported bundle: 64 MiB and 3 passes, about a second on a
/// small machine.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The secret that opens a bundle.
pub enum BundleKey<'a> {
    /// The passphrase that the bundle was sealed under.
    Passphrase(&'a Secret),
    /// The private key that the bundle was sealed for.
    Key(&'a Key),
}

/// The kind of secret that a bundle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// A passphrase.
    Passphrase,
    /// The recipient's key.
    Recipient,
}

/// The public key of `key`, in the form that a person copies.
pub fn recipient(key: &Key) -> Result<String, BundleError> {
    let private = PrivateKey::from_private_key(&X25519, &**key).map_err(|_| BundleError::Recipient)?;
    let public = private.compute_public_key().map_err(|_| BundleError::Recipient)?;
    Ok(format!("{RECIPIENT_PREFIX}{}", URL_SAFE_NO_PAD.encode(public.as_ref())))
}

/// Seals `text` under a passphrase. Takes about a second.
pub fn seal_with_passphrase(text: &[u8], passphrase: &Secret) -> Result<String, BundleError> {
    let salt = random_bytes::<SALT_LENGTH>();
    let header = [&[1, FOR_PASSPHRASE], salt.as_slice()].concat();
    let nonce = random_bytes::<NONCE_LENGTH>();
    let cipher = XChaCha20Poly1305::new((&*stretch(passphrase, &salt)?).into());
    let payload = Payload { msg: text, aad: &header };
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| BundleError::Malformed)?;
    Ok(encode(&[&header, &nonce, &sealed]))
}

/// Seals `text` for the host with this `recipient` key.
pub fn seal_for_recipient(text: &[u8], recipient: &str) -> Result<String, BundleError> {
    let encoded = recipient.trim().strip_prefix(RECIPIENT_PREFIX).ok_or(BundleError::Recipient)?;
    let theirs = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| BundleError::Recipient)?;
    if theirs.len() != PUBLIC_KEY_LENGTH {
        return Err(BundleError::Recipient);
    }
    let header = [2, FOR_RECIPIENT];
    let sealed = HPKE.seal(INFO, &header, text, &HpkePublicKey(theirs));
    let (encapsulated, sealed) = sealed.map_err(|_| BundleError::Recipient)?;
    Ok(encode(&[&header, &encapsulated.0, &sealed]))
}

/// The kind of secret that opens `bundle`.
pub fn kind(bundle: &str) -> Result<BundleKind, BundleError> {
    match decode(bundle)?.get(1) {
        Some(&FOR_PASSPHRASE) => Ok(BundleKind::Passphrase),
        _ => Ok(BundleKind::Recipient),
    }
}

/// Opens a bundle of either kind.
pub fn open(bundle: &str, opener: &BundleKey<'_>) -> Result<Zeroizing<Vec<u8>>, BundleError> {
    let bytes = decode(bundle)?;
    match opener {
        BundleKey::Passphrase(passphrase) => {
            let salt = bytes.get(2..2 + SALT_LENGTH).ok_or(BundleError::Malformed)?;
            let opened = decrypt(&bytes, 2 + SALT_LENGTH, &stretch(passphrase, salt)?)?;
            opened.ok_or(BundleError::WrongPassphrase)
        }
        BundleKey::Key(ours) => {
            let theirs = bytes.get(2..2 + PUBLIC_KEY_LENGTH).ok_or(BundleError::Malformed)?;
            let opened = match bytes.first() {
                Some(1) => decrypt(&bytes, 2 + PUBLIC_KEY_LENGTH, &version_1::shared_key(ours, theirs)?)?,
                _ => open_hpke(&bytes, theirs, ours),
            };
            opened.ok_or(BundleError::WrongKey)
        }
    }
}

/// The text sealed in `bytes`; `None` if `ours` is not the recipient's key.
fn open_hpke(bytes: &[u8], encapsulated: &[u8], ours: &Key) -> Option<Zeroizing<Vec<u8>>> {
    let (header, sealed) = (bytes.get(..2)?, bytes.get(2 + PUBLIC_KEY_LENGTH..)?);
    let (encapsulated, ours) =
        (EncapsulatedSecret(encapsulated.to_vec()), HpkePrivateKey::from(ours.to_vec()));
    HPKE.open(&encapsulated, INFO, header, sealed, &ours).ok().map(Zeroizing::new)
}

/// The text sealed in `bytes`, behind a header of `header` bytes and a nonce; `None` if `key` does not open it.
fn decrypt(bytes: &[u8], header: usize, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, BundleError> {
    let (header, rest) = bytes.split_at_checked(header).ok_or(BundleError::Malformed)?;
    let (nonce, msg) = rest.split_at_checked(NONCE_LENGTH).ok_or(BundleError::Malformed)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let opened = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg, aad: header });
    Ok(opened.ok().map(Zeroizing::new))
}

fn encode(parts: &[&[u8]]) -> String {
    let encoded = STANDARD.encode(parts.concat());
    let lines = encoded.as_bytes().chunks(LINE_LENGTH);
    let lines: Vec<&str> = lines.map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("{BEGIN}\n{}\n{END}", lines.join("\n"))
}

/// The bytes between the markers; text around them (a mail, a prompt) is ignored.
fn decode(bundle: &str) -> Result<Vec<u8>, BundleError> {
    let (_, rest) = bundle.split_once(BEGIN).ok_or(BundleError::NoBundle)?;
    let (body, _) = rest.split_once(END).ok_or(BundleError::Malformed)?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(body).map_err(|_| BundleError::Malformed)?;
    match bytes.as_slice() {
        [1, FOR_PASSPHRASE | FOR_RECIPIENT, ..] | [2, FOR_RECIPIENT, ..] => Ok(bytes),
        [1 | 2, ..] | [] => Err(BundleError::Malformed),
        _ => Err(BundleError::Version),
    }
}

fn stretch(passphrase: &Secret, salt: &[u8]) -> Result<Key, BundleError> {
    let parameters = argon2::Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| BundleError::Memory)?;
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let mut key = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *key)
        .map_err(|_| BundleError::Memory)?;
    Ok(key)
}

/// Why a bundle cannot be made or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleError {
    /// The text is no bundle.
    #[error("this is not an exported account: the line {BEGIN:?} is missing")]
    NoBundle,
    /// The bundle was cut off or changed in transport.
    #[error("the exported account is damaged; copy all of it, both marker lines included")]
    Malformed,
    /// A newer version of this program made the bundle.
    #[error("the exported account was made by a newer version of this program; update this one")]
    Version,
    /// The passphrase is not the one that the bundle was sealed under.
    #[error("the passphrase is wrong, or the exported account was altered")]
    WrongPassphrase,
    /// The bundle was sealed for another host, or altered.
    #[error("the exported account was sealed for another installation, or it was altered")]
    WrongKey,
    /// The text is not a key that `keys recipient` prints.
    #[error("this is not a recipient key")]
    Recipient,
    /// argon2id lacks memory.
    #[error("the passphrase could not be stretched: argon2id needs 64 MiB of memory")]
    Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_opens_with_its_passphrase_alone() {
        let passphrase = Secret::new("correct horse");
        let bundle = seal_with_passphrase(b"text", &passphrase).unwrap();
        assert_eq!(kind(&bundle), Ok(BundleKind::Passphrase));
        let wrapped = format!("> hello\r\n{}\r\n-- \r\n", bundle.replace('\n', "\r\n"));
        assert_eq!(*open(&wrapped, &BundleKey::Passphrase(&passphrase)).unwrap(), b"text");
        let wrong = open(&bundle, &BundleKey::Passphrase(&Secret::new("wrong")));
        assert_eq!(wrong.unwrap_err(), BundleError::WrongPassphrase);
    }

    #[test]
    fn a_bundle_opens_with_the_recipients_key_alone() {
        let key = Zeroizing::new([7; 32]);
        let bundle = seal_for_recipient(b"text", &recipient(&key).unwrap()).unwrap();
        assert_eq!(kind(&bundle), Ok(BundleKind::Recipient));
        assert_eq!(*open(&bundle, &BundleKey::Key(&key)).unwrap(), b"text");
        let wrong = open(&bundle, &BundleKey::Key(&Zeroizing::new([8; 32])));
        assert_eq!(wrong.unwrap_err(), BundleError::WrongKey);
        assert_eq!(seal_for_recipient(b"text", "age1xyz").unwrap_err(), BundleError::Recipient);
    }

    #[test]
    fn bundles_of_version_1_still_open() {
        const OF_A_RECIPIENT: &str = "\
-----BEGIN IMAP-OAUTH-PROXY ACCOUNT-----
AQLVJ5Onk2CJ2G8ZcZ8Bhz7RR8TCXipQ2ikBgQQB3qRVGqUJcJWn1ed4GFUS66tm
XN/xdU5WyoBhThpwGESoafGfylxvRF9EMPezl0wV
-----END IMAP-OAUTH-PROXY ACCOUNT-----";
        const OF_A_PASSPHRASE: &str = "\
-----BEGIN IMAP-OAUTH-PROXY ACCOUNT-----
AQEnzrYrT+/GkWgAcyVUYbDYde1pB0vxA++fBRJ3NabKYMCWzLOl56b+o52W4wvl
cTvGlvGDEWM49+EXuOY=
-----END IMAP-OAUTH-PROXY ACCOUNT-----";
        let key = Zeroizing::new([7; 32]);
        assert_eq!(recipient(&key).unwrap(), "iop1-E75P6uryBMf9M1j8nAByGIHRdCeBKCJ-xnTzf3_pe20");
        assert_eq!(*open(OF_A_RECIPIENT, &BundleKey::Key(&key)).unwrap(), b"text");
        let wrong = open(OF_A_RECIPIENT, &BundleKey::Key(&Zeroizing::new([8; 32])));
        assert_eq!(wrong.unwrap_err(), BundleError::WrongKey);
        let passphrase = Secret::new("correct horse");
        assert_eq!(*open(OF_A_PASSPHRASE, &BundleKey::Passphrase(&passphrase)).unwrap(), b"text");
    }

    #[test]
    fn what_is_sealed_for_a_recipient_is_version_2_and_names_its_version() {
        let key = Zeroizing::new([7; 32]);
        let bytes = decode(&seal_for_recipient(b"text", &recipient(&key).unwrap()).unwrap()).unwrap();
        assert_eq!(bytes[..2], [2, FOR_RECIPIENT]);
        assert_eq!(bytes.len(), 2 + PUBLIC_KEY_LENGTH + b"text".len() + 16);
        for (version, refusal) in [(1, BundleError::WrongKey), (3, BundleError::Version)] {
            let other = encode(&[&[version], &bytes[1..], &[0; NONCE_LENGTH]]);
            assert_eq!(open(&other, &BundleKey::Key(&key)).unwrap_err(), refusal);
        }
        let passphrase_of_2 = encode(&[&[2, FOR_PASSPHRASE], &bytes[2..]]);
        assert_eq!(kind(&passphrase_of_2), Err(BundleError::Malformed));
    }

    #[test]
    fn what_is_cut_or_altered_is_refused() {
        let key = Zeroizing::new([7; 32]);
        let bundle = seal_for_recipient(b"text", &recipient(&key).unwrap()).unwrap();
        for end in 0..bundle.len() {
            assert!(open(&bundle[..end], &BundleKey::Key(&key)).is_err(), "{end}");
        }
        let mut lines: Vec<String> = bundle.lines().map(str::to_owned).collect();
        let other = if lines[1].as_bytes()[8] == b'A' { "B" } else { "A" };
        lines[1].replace_range(8..9, other);
        assert!(open(&lines.join("\n"), &BundleKey::Key(&key)).is_err());
    }
}
