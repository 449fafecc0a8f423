//! App passwords: made, hashed, verified.

mod chosen;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use tokio::time::{Instant, timeout_at};

use self::chosen::Chosen;
pub(super) use self::chosen::Effort;
use crate::secret::{SealError, Sealer, Secret, random_bytes, same_bytes};
use crate::store::{AppPassword, Id, Store, StoreError, Verifier};

/// The store's setting that holds the sealed hash key.
const HASH_KEY_SETTING: &str = "password_hash_key";
/// 24 characters of this 32-character alphabet carry 120 bits. No two of them look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Used in place of a row's id; no row has this id.
const FINGERPRINT: &str = "fingerprint";
const GROUPS: usize = 6;
const GROUP_LENGTH: usize = 4;

/// A new app password: six groups of four, 120 random bits.
pub fn generate_password() -> Secret {
    let random = zeroize::Zeroizing::new(random_bytes::<{ GROUPS * GROUP_LENGTH }>());
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte & 31)]);
    let groups: Vec<String> =
        random.chunks(GROUP_LENGTH).map(|group| group.iter().map(letter).collect()).collect();
    Secret::new(groups.join("-"))
}

/// Hashes and verifies app passwords.
pub struct Passwords {
    /// Sealed in the store, so that passwords survive a rotation of the sealing key.
    hash_key: ArcSwap<hmac::Key>,
    /// The store's epoch when the key was read.
    epoch: AtomicU64,
    /// Never leaves this process, so the tags made with it are useless elsewhere.
    memo_key: hmac::Key,
    chosen: Arc<Chosen>,
}

/// The outcome of a verification.
pub(super) enum Verified<'a> {
    Right(&'a AppPassword),
    Wrong,
    /// Not done in time; the result is remembered when it is.
    Unfinished,
}

/// The keyed hash of a password, bound to its row.
type Tag = [u8; 32];

impl Passwords {
    /// Reads the hash key from the store, or makes it.
    pub async fn open(store: &dyn Store, sealer: &Sealer) -> Result<Self, PasswordError> {
        let epoch = store.epoch();
        Ok(Self {
            hash_key: ArcSwap::from_pointee(hash_key(store, sealer, HASH_KEY_SETTING).await?),
            epoch: AtomicU64::new(epoch),
            memo_key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            chosen: Arc::default(),
        })
    }

    /// After the database was replaced, reads the hash key again and forgets remembered results.
    pub async fn follow(&self, store: &dyn Store, sealer: &Sealer) -> Result<(), PasswordError> {
        let epoch = store.epoch();
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.hash_key.store(Arc::new(hash_key(store, sealer, HASH_KEY_SETTING).await?));
            self.chosen.forget();
            self.epoch.store(epoch, Ordering::Release);
        }
        Ok(())
    }

    /// The verifier of a password that [`generate_password`] made for `account`.
    pub fn generated(&self, account: &Id, password: &Secret) -> Verifier {
        Verifier::Generated(tag(&self.hash_key.load(), account, password).to_vec())
    }

    /// The verifier of a password that a person chose. Takes some milliseconds.
    pub async fn chosen(&self, password: &Secret) -> Result<Verifier, PasswordError> {
        chosen::hash(password).await.map(Verifier::Chosen).ok_or(PasswordError::Hash)
    }

    /// The generated password among `known` that equals `password`.
    pub(super) fn find_generated<'a>(
        &self,
        known: &'a [AppPassword],
        password: &Secret,
    ) -> Option<&'a AppPassword> {
        // An unknown account costs the same hash as a known one.
        let no_account = Id(String::new());
        let account = known.first().map_or(&no_account, |first| &first.account);
        let hash = tag(&self.hash_key.load(), account, password);
        known.iter().find(|candidate| match &candidate.verifier {
            Verifier::Generated(expected) => same_bytes(expected, &hash),
            Verifier::Chosen(_) => false,
        })
    }

    /// The chosen password among `known` that `password` was verified to be.
    pub(super) fn find_remembered<'a>(
        &self,
        known: &'a [AppPassword],
        password: &Secret,
    ) -> Option<&'a AppPassword> {
        let right = |id: &Id, verifier: &str| {
            self.chosen.remembered(id, verifier, &tag(&self.memo_key, id, password)) == Some(true)
        };
        chosen(known).find_map(|(candidate, verifier)| right(&candidate.id, verifier).then_some(candidate))
    }

    /// Eight hexadecimal digits that stand for `password` in this process.
    pub(super) fn fingerprint(&self, password: &Secret) -> String {
        let [first, second, third, fourth, ..] = tag(&self.memo_key, &Id(FINGERPRINT.to_owned()), password);
        format!("{:08x}", u32::from_be_bytes([first, second, third, fourth]))
    }

    /// Whether `password` may be one of the chosen passwords in `known`: not all have been verified as wrong.
    pub(super) fn is_open(&self, known: &[AppPassword], password: &Secret) -> bool {
        chosen(known).any(|(candidate, verifier)| {
            let tag = tag(&self.memo_key, &candidate.id, password);
            self.chosen.remembered(&candidate.id, verifier, &tag) != Some(false)
        })
    }

    /// Joins the imagined queue. Returns whether a verification would be done before `due`.
    pub(super) fn queue_up(&self, due: Instant) -> bool {
        self.chosen.queue_up(due)
    }

    /// The chosen password among `known` that `password` is, if `effort` suffices to find out before `due`.
    pub(super) async fn verify<'a>(
        &self,
        known: &'a [AppPassword],
        password: &Secret,
        effort: Effort,
        due: Instant,
    ) -> Verified<'a> {
        let mut found = Verified::Wrong;
        for (candidate, verifier) in chosen(known) {
            let tag = tag(&self.memo_key, &candidate.id, password);
            let remembered = match effort {
                Effort::Joined => None,
                Effort::Any | Effort::UnderWay => self.chosen.remembered(&candidate.id, verifier, &tag),
            };
            let right = match remembered {
                Some(right) => Some(right),
                None => match self.chosen.flight(&candidate.id, verifier, password, tag, effort) {
                    Some(mut flight) => {
                        let done = timeout_at(due, flight.wait_for(Option::is_some)).await;
                        done.ok().and_then(Result::ok).and_then(|result| *result)
                    }
                    None => None,
                },
            };
            match right {
                Some(true) => return Verified::Right(candidate),
                Some(false) => {}
                None => found = Verified::Unfinished,
            }
        }
        found
    }
}

/// The chosen passwords among `known`, with their argon2id hashes.
fn chosen(known: &[AppPassword]) -> impl Iterator<Item = (&AppPassword, &str)> {
    known.iter().filter_map(|candidate| match &candidate.verifier {
        Verifier::Chosen(verifier) => Some((candidate, verifier.as_str())),
        Verifier::Generated(_) => None,
    })
}

/// The key in a setting, which is made if there is none.
pub(super) async fn hash_key(
    store: &dyn Store,
    sealer: &Sealer,
    setting: &str,
) -> Result<hmac::Key, PasswordError> {
    let fresh = zeroize::Zeroizing::new(random_bytes::<32>());
    let sealed = sealer.seal(setting, &*fresh)?;
    let kept = store.setting(setting, &sealed).await?;
    let key = sealer.open(setting, &kept)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// Bound to the row, so that two rows with the same password differ.
fn tag(key: &hmac::Key, row: &Id, password: &Secret) -> Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(row.0.as_bytes());
    context.update(&[0]);
    context.update(password.expose().as_bytes());
    let mut tag = Tag::default();
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Why app passwords cannot be handled.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The key that hashes them cannot be opened.
    #[error("the key that app passwords are hashed with cannot be opened: {0}")]
    Sealed(#[from] SealError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// argon2id failed, in practice for lack of memory.
    #[error("the password could not be hashed: argon2id needs 19 MiB of memory")]
    Hash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_long_random_and_easy_to_type() {
        let password = generate_password();
        assert_eq!(password.expose().len(), 29);
        assert!(password.expose().bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)));
        assert_ne!(password, generate_password());
    }
}
