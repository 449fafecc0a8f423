//! Chosen passwords: remembered results of argon2id, and the runs under way.
//!
//! Each result is remembered, so that no candidate costs a second run. A run outlives the login that started
//! it, so that the client's second try finds the result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Tag;
use crate::account::backlog::{AT_ONCE, Backlog, PLACES};
use crate::mutex::lock;
use crate::secret::{Secret, random_bytes, same_bytes};
use crate::store::Id;

/// Wrong candidates remembered for one chosen password. A mail program with an old password that tries every
/// minute then costs a keyed hash each time, not a run of argon2id.
const WRONG_REMEMBERED: usize = 16;
/// The remembered results and the runs under way.
pub(super) struct Chosen {
    memo: Mutex<HashMap<Id, Memo>>,
    /// Runs that wait or are under way.
    flights: Mutex<HashMap<Tag, Weak<Flight>>>,
    backlog: Mutex<Backlog>,
    argon2: Arc<Semaphore>,
}

/// A run of argon2id, and later its result.
type Flight = watch::Sender<Option<bool>>;

/// The cost that a verification may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) enum Effort {
    /// Starts a run of argon2id, if the account has a chosen password.
    Any,
    /// Compares with remembered results, or waits for a run that another login started.
    UnderWay,
    /// Only waits for a run that another login started.
    Joined,
}

/// The remembered results for one chosen password.
#[derive(Default)]
struct Memo {
    /// The hash that the results belong to; a changed password has another hash.
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
    /// Forgets all results: the database was replaced, and these passwords came from the old one.
    pub(super) fn forget(&self) {
        lock(&self.memo).clear();
    }

    /// Joins the imagined queue. Returns whether a verification would be done before `due`.
    pub(super) fn queue_up(&self, due: Instant) -> bool {
        lock(&self.backlog).join(Instant::now(), due)
    }

    /// The remembered result for `candidate`; `None` if there is none.
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

    /// The run of argon2id for this candidate: the one under way, or a new one if `effort` allows it and a
    /// place is free.
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

/// The argon2id hash of a password; `None` if memory is short.
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
