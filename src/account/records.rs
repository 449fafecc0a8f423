//! Writes to account rows: troubles that providers reported, the user name that they accepted, and last
//! logins.

use std::sync::Mutex;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use super::Accounts;
use crate::mutex::lock;
use crate::protocol::Door;
use crate::store::{Account, LoginNote, MailboxTrouble, SignInAs, StoreError};
use crate::trouble::Trouble;

/// The pause between two writes of last logins, so that a login does not cost a write.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// The longest pause between refreshes for a mailbox that the provider keeps refusing.
const LONGEST_REFUSAL_PAUSE_MINUTES: u32 = 15;

/// Logins not written yet.
#[derive(Default)]
pub(super) struct Notes {
    logins: Mutex<Vec<LoginNote>>,
    added: Notify,
}

impl Notes {
    pub(super) fn add(&self, note: LoginNote) {
        let mut logins = lock(&self.logins);
        logins.retain(|other| other.password != note.password);
        logins.push(note);
        drop(logins);
        self.added.notify_one();
    }

    /// Notes that were not written, to be tried again; a later one of the same password stays.
    fn put_back(&self, notes: Vec<LoginNote>) {
        let mut logins = lock(&self.logins);
        let old =
            notes.into_iter().filter(|note| !logins.iter().any(|later| later.password == note.password));
        let old: Vec<_> = old.collect();
        logins.splice(0..0, old);
        drop(logins);
        self.added.notify_one();
    }
}

impl Accounts {
    /// Records that the provider's mail server refuses this mailbox with a fresh token. The cause is then a
    /// permission; more refreshes would only hammer the token endpoint.
    pub async fn refused(&self, account: &Account, door: Door, trouble: Trouble) {
        let before = account.troubles.get(door.name());
        let count = before.map_or(1, |trouble| trouble.count.saturating_add(1));
        let minutes = 2u32.saturating_pow(count - 1).min(LONGEST_REFUSAL_PAUSE_MINUTES);
        let at = OffsetDateTime::now_utc();
        let retry_at = at.saturating_add(time::Duration::minutes(minutes.into()));
        self.set_trouble(account, door, Some(&MailboxTrouble { trouble, count, at, retry_at })).await;
    }

    /// Records the provider's words about this account at `door`, at a sign-in or in a session. No later login
    /// is delayed.
    pub async fn note_trouble(&self, account: &Account, door: Door, trouble: Trouble) {
        let at = OffsetDateTime::now_utc();
        self.set_trouble(account, door, Some(&MailboxTrouble { trouble, count: 0, at, retry_at: at })).await;
    }

    /// Clears the trouble recorded for `door`, because a login there succeeded.
    pub async fn accepted(&self, account: &Account, door: Door) {
        if account.troubles.contains_key(door.name()) {
            self.set_trouble(account, door, None).await;
        }
    }

    async fn set_trouble(&self, account: &Account, door: Door, trouble: Option<&MailboxTrouble>) {
        if let Err(error) = self.store.set_trouble(&account.id, door.name(), trouble).await {
            tracing::warn!(account = account.name, "the account's trouble was not stored: {error}");
        }
    }

    /// Records the user name that the provider accepted for this account, so that the next sign-in tries it
    /// first.
    pub async fn remember_sign_in_as(&self, account: &Account, user: SignInAs) {
        if account.sign_in_as == Some(user) {
            return;
        }
        if let Err(error) = self.store.set_sign_in_as(&account.id, Some(user)).await {
            tracing::warn!(
                account = account.name,
                "the user name that the provider accepts was not stored: {error}"
            );
        }
    }

    /// Whether this login's user should be told that the grant will end: true once a day, because the call itself
    /// counts as the notice.
    pub async fn may_alert(&self, account: &Account, now: OffsetDateTime) -> bool {
        let day_ago = now.saturating_sub(time::Duration::DAY);
        self.store.claim_alert(&account.id, now, day_ago).await.unwrap_or_else(|error| {
            tracing::warn!(
                account = account.name,
                "its user is not told of its end, because the store failed: {error}"
            );
            false
        })
    }

    /// Writes last logins until the future is dropped; call [`Accounts::flush`] at the end.
    pub async fn keep_notes(&self) {
        loop {
            self.notes.added.notified().await;
            self.flush().await;
            tokio::time::sleep(NOTE_INTERVAL).await;
        }
    }

    /// Writes to the store the logins and the messages of devices that are not there yet.
    pub async fn flush(&self) {
        self.write_messages().await;
        let notes = std::mem::take(&mut *lock(&self.notes.logins));
        if notes.is_empty() {
            return;
        }
        match self.store.note_logins(&notes).await {
            Ok(()) => {}
            // The store itself says once that it is away; this is tried again each second.
            Err(error @ StoreError::Away(_)) => {
                tracing::debug!("the times of {} logins are not stored yet: {error}", notes.len());
                self.notes.put_back(notes);
            }
            Err(error) => tracing::warn!("the times of {} logins were not stored: {error}", notes.len()),
        }
    }
}
