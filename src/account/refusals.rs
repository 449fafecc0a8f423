//! Refusals by the provider inside a session, such as a rejected message.
//!
//! A session reports each refusal and each accepted message. The store is written only when this changes the
//! record: a sender whose mail is accepted costs no write, one whose mail is refused all day costs one a
//! minute. The process knows the record from its logins; another process may have changed it since, so the
//! same refusal is written again after a minute.

use std::collections::HashMap;
use std::sync::Mutex;

use time::Duration;

use super::Accounts;
use crate::mutex::lock;
use crate::store::{Account, Id, LastRefusal};

/// A repeated refusal updates the recorded time at most this often.
const REPEATED: Duration = Duration::minutes(1);

/// The recorded refusals, as this process knows them.
#[derive(Default)]
pub(super) struct Refusals {
    known: Mutex<HashMap<Id, LastRefusal>>,
    /// Held during a write, so that the newest refusal is written last.
    writing: tokio::sync::Mutex<()>,
}

impl Refusals {
    /// Takes over the refusal that a login has read from the account's row.
    pub(super) fn read(&self, account: &Account) {
        if let Some(refusal) = &account.refusal {
            lock(&self.known).insert(account.id.clone(), refusal.clone());
        }
    }

    /// Whether `refusal` changes the record.
    fn note(&self, account: &Id, refusal: LastRefusal) -> bool {
        let mut known = lock(&self.known);
        let is_news = known.get(account).is_none_or(|before| {
            let same = LastRefusal { at: before.at, ..refusal.clone() } == *before;
            !same || (refusal.at - before.at).abs() >= REPEATED
        });
        if is_news {
            known.insert(account.clone(), refusal);
        }
        is_news
    }
}

impl Accounts {
    /// Notes a refusal in a session of this account, or with `None` that the provider accepted a message.
    /// Returns whether the store must be written, by [`Accounts::write_refusal`].
    pub fn refusal_changes(&self, account: &Account, refusal: Option<LastRefusal>) -> bool {
        match refusal {
            Some(refusal) => self.refusals.note(&account.id, refusal),
            None => lock(&self.refusals.known).remove(&account.id).is_some(),
        }
    }

    /// Writes the account's current refusal to the store.
    pub async fn write_refusal(&self, account: &Account) {
        let _writing = self.refusals.writing.lock().await;
        let known = lock(&self.refusals.known).get(&account.id).cloned();
        if let Err(error) = self.store.set_refusal(&account.id, known.as_ref()).await {
            tracing::warn!(account = account.name, "the provider's refusal was not stored: {error}");
        }
    }
}
