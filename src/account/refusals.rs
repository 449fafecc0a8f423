//! What providers refused in sessions that were signed in, such as a message.
//!
//! A session tells of each refusal, and of each thing that the provider took; the store is written only where that
//! changes what is on record, so a sender whose mail is taken costs no write, and one whose mail is refused all day
//! costs one a minute. What is on record is known from the logins of this process. Another process may have changed
//! it since: what is noted again after a minute is written in any case.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::Duration;

use super::Accounts;
use crate::store::{Account, Id, LastRefusal};

/// The same refusal once more moves its time no sooner.
const REPEATED: Duration = Duration::minutes(1);

/// What is on record, as far as this process knows.
#[derive(Default)]
pub(super) struct Refusals {
    known: Mutex<HashMap<Id, LastRefusal>>,
    /// Held while what is known is written, so that the newest is written last.
    writing: tokio::sync::Mutex<()>,
}

impl Refusals {
    /// A login has read what is on record.
    pub(super) fn read(&self, account: &Account) {
        if let Some(refusal) = &account.refusal {
            self.known().insert(account.id.clone(), refusal.clone());
        }
    }

    /// Whether `refusal` is news.
    fn note(&self, account: &Id, refusal: LastRefusal) -> bool {
        let mut known = self.known();
        let is_news = known.get(account).is_none_or(|before| {
            let same = LastRefusal { at: before.at, ..refusal.clone() } == *before;
            !same || (refusal.at - before.at).abs() >= REPEATED
        });
        if is_news {
            known.insert(account.clone(), refusal);
        }
        is_news
    }

    fn forget(&self, account: &Id) -> bool {
        self.known().remove(account).is_some()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Id, LastRefusal>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Remembers what the provider refused in a session of this account, or that it took a message since. Whether
    /// that is news, which [`Accounts::write_refusal`] puts into the store.
    pub fn refusal_changes(&self, account: &Account, refusal: Option<LastRefusal>) -> bool {
        match refusal {
            Some(refusal) => self.refusals.note(&account.id, refusal),
            None => self.refusals.forget(&account.id),
        }
    }

    /// Writes down what is remembered by now.
    pub async fn write_refusal(&self, account: &Account) {
        let _writing = self.refusals.writing.lock().await;
        let known = self.refusals.known().get(&account.id).cloned();
        if let Err(error) = self.store.set_refusal(&account.id, known.as_ref()).await {
            tracing::warn!(account = account.name, "what the provider refused was not written: {error}");
        }
    }
}
