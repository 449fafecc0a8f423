//! Who may log in: accounts, their app passwords, and how guessing is slowed down.
//!
//! The invariant: a login costs the attacker more than us, and tells nothing. Generated passwords carry
//! 120 random bits, so one keyed hash verifies them; chosen ones get argon2id once and are then
//! remembered, by a keyed hash that only this process knows. Argon2id runs a few at a time,
//! once for each candidate, and never for a password that is remembered. Whether the account is unknown
//! or the password wrong, the answer is the same, after the same delay.

mod attempts;
mod gate;
mod password;
mod sessions;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use self::attempts::{Attempts, Standing};
use self::password::Effort;

use crate::secret::{Sealer, Secret};
use crate::store::{LoginNote, Store, StoreError, Trouble, domain_account};

pub use crate::store::{Account, Grant, fold};

pub use attempts::neighbourhood;
pub use gate::{Gates, Pass};
pub use password::{PasswordError, Passwords, generate_password};
pub use sessions::{Place, Sessions};

/// Last logins reach the disk at most this often: bookkeeping must not cost a write per login.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// A revocation holds for running sessions within five seconds: this, and the farewell.
const REVOCATION_POLL: Duration = Duration::from_secs(1);

/// The longest time without another refresh for a mailbox that the provider keeps refusing.
const LONGEST_REFUSAL_PAUSE_MINUTES: u32 = 15;

/// Verifies logins.
pub struct Accounts {
    store: Arc<dyn Store>,
    passwords: Passwords,
    attempts: Attempts,
    sessions: Sessions,
    notes: Mutex<Vec<LoginNote>>,
    noted: Notify,
}

/// What a login comes to.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right.
    Admitted(Box<Admitted>),
    /// Unknown account or wrong password; nobody learns which.
    Refused,
    /// Too many failures from this address for this name: not even looked at.
    Throttled(Duration),
}

/// A login whose password is right.
#[derive(Debug)]
pub struct Admitted {
    /// The account.
    pub account: Account,
    /// Its grant, where it has one.
    pub grant: Option<Grant>,
    /// The name of the app password that was used.
    pub password_name: String,
    /// Its place among the sessions.
    pub place: Place,
}

impl Accounts {
    /// `sealer` opens the key that generated passwords are hashed with, made at the first start.
    pub async fn open(store: Arc<dyn Store>, sealer: &Sealer) -> Result<Self, PasswordError> {
        let passwords = Passwords::open(&*store, sealer).await?;
        Ok(Self {
            store,
            passwords,
            attempts: Attempts::default(),
            sessions: Sessions::default(),
            notes: Mutex::default(),
            noted: Notify::new(),
        })
    }

    /// Whether `password` opens the account called `name`, asked from `from`.
    pub async fn verify(&self, name: &str, password: &Secret, from: IpAddr) -> Result<Verdict, StoreError> {
        let record = self.store.login(name).await?;
        // Guesses at a domain account count together, under whatever mailbox they come.
        let under_domain = record
            .as_ref()
            .is_some_and(|record| record.grant.as_ref().is_some_and(|grant| grant.mailbox.is_some()));
        let folded = match domain_account(name) {
            Some(domain) if under_domain => domain,
            _ => fold(name),
        };
        let known = record.as_ref().map(|record| record.passwords.as_slice()).unwrap_or_default();
        let (effort, refusal) = match self.attempts.charge(from, &folded) {
            Standing::Free => (Effort::Any, Verdict::Refused),
            Standing::Waits(wait) => (Effort::Remembered, Verdict::Throttled(wait)),
            Standing::Guesses(wait) => (Effort::Generated, Verdict::Throttled(wait)),
        };
        let Some(used) = self.passwords.verify(known, password, effort).await else { return Ok(refusal) };
        let (password, password_name) = (used.id.clone(), used.name.clone());
        let Some(record) = record else { return Ok(Verdict::Refused) };
        self.attempts.succeeded(from, &folded);
        let place = self.sessions.enter(&password, record.account.grant.as_ref());
        self.note(LoginNote {
            account: record.account.id.clone(),
            password,
            at: OffsetDateTime::now_utc(),
            from: from.to_string(),
        });
        Ok(Verdict::Admitted(Box::new(Admitted {
            account: record.account,
            grant: record.grant,
            password_name,
            place,
        })))
    }

    /// Remembers that the provider's mail server does not open this mailbox, although the token was
    /// fresh: that is a matter of permissions, and more fresh tokens would only hammer the token
    /// endpoint. `reason` is cause and cure in one line.
    pub async fn refused(&self, account: &Account, reason: String) {
        let count = account.trouble.as_ref().map_or(1, |trouble| trouble.count.saturating_add(1));
        let minutes = 2u32.saturating_pow(count - 1).min(LONGEST_REFUSAL_PAUSE_MINUTES);
        let at = OffsetDateTime::now_utc();
        let retry_at = at.saturating_add(time::Duration::minutes(minutes.into()));
        self.set_trouble(account, Some(&Trouble { reason, count, at, retry_at })).await;
    }

    /// Remembers what the provider said in the middle of a session; it holds nothing up.
    pub async fn overheard(&self, account: &Account, reason: String) {
        let at = OffsetDateTime::now_utc();
        self.set_trouble(account, Some(&Trouble { reason, count: 0, at, retry_at: at })).await;
    }

    /// Forgets the trouble on record, because a login succeeded.
    pub async fn accepted(&self, account: &Account) {
        if account.trouble.is_some() {
            self.set_trouble(account, None).await;
        }
    }

    async fn set_trouble(&self, account: &Account, trouble: Option<&Trouble>) {
        if let Err(error) = self.store.set_trouble(&account.id, trouble).await {
            tracing::warn!(account = account.name, "the account's state was not written: {error}");
        }
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Ends the sessions whose password, account or grant is gone, until it is dropped. `sealer` opens what
    /// it has to know of a database that takes the place of the store's.
    pub async fn end_revoked(&self, sealer: &Sealer) {
        let (mut seen, mut failing) = (None, false);
        loop {
            match self.look_for_revoked(&mut seen, sealer).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!("whether sessions were revoked cannot be read: {error}");
                    failing = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(REVOCATION_POLL).await;
        }
    }

    async fn look_for_revoked(&self, seen: &mut Option<i64>, sealer: &Sealer) -> Result<(), PasswordError> {
        // Asked in this order: who enters after this is looked at next time.
        let entered = self.sessions.has_new();
        // Forgotten on failure, so that the next look is a whole one.
        let before = seen.take();
        self.store.reopen().await?;
        self.passwords.follow(&*self.store, sealer).await?;
        let version = self.store.version().await?;
        if before == Some(version) && !entered {
            *seen = before;
            return Ok(());
        }
        let ended = self.sessions.keep_only(&self.store.passwords_in_force().await?);
        if ended > 0 {
            tracing::info!("the sessions of {ended} app passwords end: revoked");
        }
        *seen = Some(version);
        Ok(())
    }

    fn note(&self, note: LoginNote) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.retain(|other| other.password != note.password);
        notes.push(note);
        drop(notes);
        self.noted.notify_one();
    }

    /// Writes last logins down until it is dropped; call [`Accounts::flush`] at the end.
    pub async fn keep_notes(&self) {
        loop {
            self.noted.notified().await;
            self.flush().await;
            tokio::time::sleep(NOTE_INTERVAL).await;
        }
    }

    /// Writes down the logins that are not yet.
    pub async fn flush(&self) {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        if notes.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_logins(&notes).await {
            tracing::warn!("the time of {} logins was not written down: {error}", notes.len());
        }
    }
}
