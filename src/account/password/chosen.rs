//! Passwords that a person chose: what is known of them, and what argon2id is finding out.
//!
//! What came out of a run is remembered, so that it costs no second one; runs outlive the logins that asked for them,
//! so that a second try finds what came out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Tag;
use crate::account::backlog::{AT_ONCE, Backlog, PLACES};
use crate::secret::{Secret, random_bytes, same_bytes};
use crate::store::Id;

/// Wrong candidates remembered for one chosen password, so that a mail program with an old password
/// that tries every minute costs a hash each time, not an argon2id.
const WRONG_REMEMBERED: usize = 16;
/// What is known of chosen passwords, and what is being found out.
pub(super) struct Chosen {
    memo: Mutex<HashMap<Id, Memo>>,
    /// Runs that wait or go on.
    flights: Mutex<HashMap<Tag, Weak<Flight>>>,
    backlog: Mutex<Backlog>,
    argon2: Arc<Semaphore>,
}

/// A run of argon2id, and later its result.
type Flight = watch::Sender<Option<bool>>;

/// What a verification may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) enum Effort {
    /// A run of argon2id, where there is a chosen password.
    Any,
    /// A comparison with what is remembered, or the result of a run that is under way for others.
    UnderWay,
    /// The result of a run that is under way for others.
    Joined,
}

/// What is remembered of one chosen password.
#[derive(Default)]
struct Memo {
    /// The hash it was verified against: a changed password is another one.
    verifier: String,
    right: Option<Tag>,
    wrong: Vec<Tag>,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            memo: Mutex::default(),
            flights: Mutex::default(),
            backlog: Mutex::default(),
            argon2: Arc::new(Semaphore::new(AT_ONCE as usize)),
        }
    }
}

impl Chosen {
    /// Another database has taken the place of the one that the passwords came from.
    pub(super) fn forget(&self) {
        lock(&self.memo).clear();
    }

    /// Joins the imagined queue of verifications, and tells whether one would be done before `due`.
    pub(super) fn queue_up(&self, due: Instant) -> bool {
        lock(&self.backlog).join(Instant::now(), due)
    }

    /// Whether `candidate` turned out right before; `None` where that is not known.
    pub(super) fn remembered(&self, id: &Id, verifier: &str, candidate: &Tag) -> Option<bool> {
        let memo = lock(&self.memo);
        let memo = memo.get(id).filter(|memo| memo.verifier == verifier)?;
        match memo.right.is_some_and(|right| same_bytes(&right, candidate)) {
            true => Some(true),
            false => memo.wrong.contains(candidate).then_some(false),
        }
    }

    fn remember(&self, id: &Id, verifier: &str, candidate: Tag, right: bool) {
        let mut memo = lock(&self.memo);
        let memo = memo.entry(id.clone()).or_default();
        if memo.verifier != verifier {
            *memo = Memo { verifier: verifier.to_owned(), ..Memo::default() };
        }
        match right {
            true => memo.right = Some(candidate),
            false if memo.wrong.contains(&candidate) => {}
            false => {
                if memo.wrong.len() == WRONG_REMEMBERED {
                    memo.wrong.remove(0);
                }
                memo.wrong.push(candidate);
            }
        }
    }

    /// The run of argon2id for this candidate: the one under way, or a new one where `effort` allows it and
    /// there is a place.
    pub(super) fn flight(
        self: &Arc<Self>,
        id: &Id,
        verifier: &str,
        password: &Secret,
        candidate: Tag,
        effort: Effort,
    ) -> Option<watch::Receiver<Option<bool>>> {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&candidate).and_then(Weak::upgrade) {
            return Some(flight.subscribe());
        }
        if effort != Effort::Any {
            return None;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        if flights.len() >= PLACES as usize {
            return None;
        }
        let (result, flight) = watch::channel(None);
        let result = Arc::new(result);
        flights.insert(candidate, Arc::downgrade(&result));
        let (all, id, verifier, password) = (self.clone(), id.clone(), verifier.to_owned(), password.clone());
        tokio::spawn(async move {
            let permit = all.argon2.clone().acquire_owned().await;
            let begun = Instant::now();
            let (right, verifier) =
                tokio::task::spawn_blocking(move || (argon2_accepts(&verifier, &password), verifier))
                    .await
                    .ok()?;
            drop(permit);
            lock(&all.backlog).took(begun.elapsed());
            all.remember(&id, &verifier, candidate, right);
            result.send(Some(right)).ok()
        });
        Some(flight)
    }
}

/// What argon2id makes of a password; `None` where there is not enough memory for it.
pub(super) async fn hash(password: &Secret) -> Option<String> {
    let salt = SaltString::encode_b64(&random_bytes::<16>()).ok()?;
    let password = password.clone();
    let hash = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.expose().as_bytes(), &salt).map(|hash| hash.to_string())
    });
    hash.await.ok()?.ok()
}

fn argon2_accepts(verifier: &str, password: &Secret) -> bool {
    PasswordHash::new(verifier)
        .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
