//! The key agreement of version 1: an ephemeral X25519 key of the sender, and HKDF-SHA256.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::BundleError;
use crate::secret::Key;

/// The key that `ours` and the sender's `ephemeral` key agree on. Both public keys are hashed into it, so that it is
/// bound to this exchange.
pub(super) fn shared_key(ours: &Key, ephemeral: &[u8]) -> Result<Key, BundleError> {
    let ours = PrivateKey::from_private_key(&X25519, &**ours).map_err(|_| BundleError::Recipient)?;
    let recipient = ours.compute_public_key().map_err(|_| BundleError::Recipient)?;
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[ephemeral, recipient.as_ref()].concat());
    agree(&ours, UnparsedPublicKey::new(&X25519, ephemeral), BundleError::Recipient, |shared| {
        let mut key = Zeroizing::new([0; 32]);
        let expanded = salt.extract(shared);
        let expanded = expanded.expand(&[b"imap-oauth-proxy account bundle 1"], hkdf::HKDF_SHA256);
        let filled = expanded.and_then(|okm| okm.fill(&mut *key));
        filled.map(|()| key).map_err(|_| BundleError::Recipient)
    })
}
