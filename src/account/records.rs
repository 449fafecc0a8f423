//! What is written down about accounts: what providers said, whose name they took, and the last logins.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use super::Accounts;
use crate::protocol::Door;
use crate::store::{Account, LoginNote, MailboxTrouble, SignInAs};
use crate::trouble::Trouble;

/// Last logins reach the disk at most this often: bookkeeping must not cost a write per login.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time without another refresh for a mailbox that the provider keeps refusing.
const LONGEST_REFUSAL_PAUSE_MINUTES: u32 = 15;

/// The logins that are not written down yet.
#[derive(Default)]
pub(super) struct Notes {
    logins: Mutex<Vec<LoginNote>>,
    added: Notify,
}

impl Notes {
    pub(super) fn add(&self, note: LoginNote) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|other| other.password != note.password);
        logins.push(note);
        drop(logins);
        self.added.notify_one();
    }

    fn take(&self) -> Vec<LoginNote> {
        std::mem::take(&mut *self.logins.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Accounts {
    /// Remembers that the provider's mail server does not open this mailbox, although the token was
    /// fresh: that is a matter of permissions, and more fresh tokens would only hammer the token
    /// endpoint.
    pub async fn refused(&self, account: &Account, door: Door, trouble: Trouble) {
        let before = account.troubles.get(door.name());
        let count = before.map_or(1, |trouble| trouble.count.saturating_add(1));
        let minutes = 2u32.saturating_pow(count - 1).min(LONGEST_REFUSAL_PAUSE_MINUTES);
        let at = OffsetDateTime::now_utc();
        let retry_at = at.saturating_add(time::Duration::minutes(minutes.into()));
        self.set_trouble(account, door, Some(&MailboxTrouble { trouble, count, at, retry_at })).await;
    }

    /// Remembers what the provider said about this account at that door, at a sign-in or in a session; it holds
    /// nothing up.
    pub async fn note_trouble(&self, account: &Account, door: Door, trouble: Trouble) {
        let at = OffsetDateTime::now_utc();
        self.set_trouble(account, door, Some(&MailboxTrouble { trouble, count: 0, at, retry_at: at })).await;
    }

    /// Forgets the trouble on record for that door, because a login there succeeded.
    pub async fn accepted(&self, account: &Account, door: Door) {
        if account.troubles.contains_key(door.name()) {
            self.set_trouble(account, door, None).await;
        }
    }

    async fn set_trouble(&self, account: &Account, door: Door, trouble: Option<&MailboxTrouble>) {
        if let Err(error) = self.store.set_trouble(&account.id, door.name(), trouble).await {
            tracing::warn!(account = account.name, "the account's state was not written: {error}");
        }
    }

    /// Remembers whose name the provider took for this account, so that the next sign-in begins with it.
    pub async fn remember_sign_in_as(&self, account: &Account, user: SignInAs) {
        if account.sign_in_as == Some(user) {
            return;
        }
        if let Err(error) = self.store.set_sign_in_as(&account.id, Some(user)).await {
            tracing::warn!(account = account.name, "whose name the provider takes was not written: {error}");
        }
    }

    /// Writes last logins down until it is dropped; call [`Accounts::flush`] at the end.
    pub async fn keep_notes(&self) {
        loop {
            self.notes.added.notified().await;
            self.flush().await;
            tokio::time::sleep(NOTE_INTERVAL).await;
        }
    }

    /// Writes down the logins, and the messages of devices, that are not yet.
    pub async fn flush(&self) {
        self.write_messages().await;
        let notes = self.notes.take();
        if notes.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_logins(&notes).await {
            tracing::warn!("the time of {} logins was not written down: {error}", notes.len());
        }
    }
}
