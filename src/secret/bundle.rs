//! Seals a text for another host: under a passphrase, or for that host's own key.
//!
//! A bundle is text between two marker lines, so that it survives mail, terminals and clipboards. In it,
//! in base64: one byte version (1), one byte kind, then 16 bytes salt (kind 1, argon2id with 64 MiB and
//! 3 passes) or a 32-byte ephemeral X25519 key (kind 2, HKDF-SHA256), 24 bytes nonce, and the
//! XChaCha20-Poly1305 ciphertext with all that stands before it as associated data.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{Key, Secret, random_bytes};

const BEGIN: &str = "-----BEGIN IMAP-OAUTH-PROXY ACCOUNT-----";
const END: &str = "-----END IMAP-OAUTH-PROXY ACCOUNT-----";
const VERSION: u8 = 1;
const FOR_PASSPHRASE: u8 = 1;
const FOR_RECIPIENT: u8 = 2;
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
    /// The passphrase that it was sealed under.
    Passphrase(&'a Secret),
    /// The private key that it was sealed for.
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
    let header = [&[VERSION, FOR_PASSPHRASE], salt.as_slice()].concat();
    seal(&header, &stretch(passphrase, &salt)?, text)
}

/// Seals `text` for the host with this `recipient` key.
pub fn seal_for_recipient(text: &[u8], recipient: &str) -> Result<String, BundleError> {
    let encoded = recipient.trim().strip_prefix(RECIPIENT_PREFIX).ok_or(BundleError::Recipient)?;
    let theirs = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| BundleError::Recipient)?;
    if theirs.len() != PUBLIC_KEY_LENGTH {
        return Err(BundleError::Recipient);
    }
    let ours = PrivateKey::generate(&X25519).map_err(|_| BundleError::Recipient)?;
    let public = ours.compute_public_key().map_err(|_| BundleError::Recipient)?;
    let header = [&[VERSION, FOR_RECIPIENT], public.as_ref()].concat();
    seal(&header, &shared_key(&ours, &theirs, public.as_ref(), &theirs)?, text)
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
    let (key, header_length) = match opener {
        BundleKey::Passphrase(passphrase) => {
            let salt = bytes.get(2..2 + SALT_LENGTH).ok_or(BundleError::Malformed)?;
            (stretch(passphrase, salt)?, 2 + SALT_LENGTH)
        }
        BundleKey::Key(ours) => {
            let theirs = bytes.get(2..2 + PUBLIC_KEY_LENGTH).ok_or(BundleError::Malformed)?;
            let ours = PrivateKey::from_private_key(&X25519, &***ours).map_err(|_| BundleError::Recipient)?;
            let public = ours.compute_public_key().map_err(|_| BundleError::Recipient)?;
            (shared_key(&ours, theirs, theirs, public.as_ref())?, 2 + PUBLIC_KEY_LENGTH)
        }
    };
    let header = bytes.get(..header_length).ok_or(BundleError::Malformed)?;
    let nonce = bytes.get(header_length..header_length + NONCE_LENGTH).ok_or(BundleError::Malformed)?;
    let msg = bytes.get(header_length + NONCE_LENGTH..).ok_or(BundleError::Malformed)?;
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let opened = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg, aad: header });
    opened.map(Zeroizing::new).map_err(|_| match opener {
        BundleKey::Passphrase(_) => BundleError::WrongPassphrase,
        BundleKey::Key(_) => BundleError::WrongKey,
    })
}

fn seal(header: &[u8], key: &Key, text: &[u8]) -> Result<String, BundleError> {
    let nonce = random_bytes::<NONCE_LENGTH>();
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let payload = Payload { msg: text, aad: header };
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| BundleError::Malformed)?;
    let encoded = STANDARD.encode([header, &nonce, &sealed].concat());
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(LINE_LENGTH)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    Ok(format!("{BEGIN}\n{}\n{END}", lines.join("\n")))
}

/// The bytes between the markers; text around them (a mail, a prompt) is ignored.
fn decode(bundle: &str) -> Result<Vec<u8>, BundleError> {
    let (_, rest) = bundle.split_once(BEGIN).ok_or(BundleError::NoBundle)?;
    let (body, _) = rest.split_once(END).ok_or(BundleError::Malformed)?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(body).map_err(|_| BundleError::Malformed)?;
    match bytes.as_slice() {
        [VERSION, FOR_PASSPHRASE | FOR_RECIPIENT, ..] => Ok(bytes),
        [VERSION, ..] | [] => Err(BundleError::Malformed),
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

/// Both public keys are hashed in, so that the key is bound to this exchange.
fn shared_key(
    ours: &PrivateKey,
    theirs: &[u8],
    ephemeral: &[u8],
    recipient: &[u8],
) -> Result<Key, BundleError> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[ephemeral, recipient].concat());
    agree(ours, UnparsedPublicKey::new(&X25519, theirs), BundleError::Recipient, |shared| {
        let mut key = Zeroizing::new([0; 32]);
        let expanded = salt.extract(shared);
        let expanded = expanded.expand(&[b"imap-oauth-proxy account bundle 1"], hkdf::HKDF_SHA256);
        let filled = expanded.and_then(|okm| okm.fill(&mut *key));
        filled.map(|()| key).map_err(|_| BundleError::Recipient)
    })
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
