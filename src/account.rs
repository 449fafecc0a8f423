//! Who may log in: accounts, their app passwords, and how guessing is slowed down.
//!
//! The invariant: a login costs the attacker more than us, and tells nothing. Generated passwords carry
//! 120 random bits, so one keyed hash verifies them; chosen ones get argon2id once and are then
//! remembered, by a keyed hash that only this process knows. Argon2id runs a few at a time,
//! once for each candidate, and never for a password that is remembered. Whether the account is unknown
//! or the password wrong, the answer is the same, after the same delay.

mod attempts;
mod backlog;
mod draw;
mod find;
mod gate;
mod origin;
mod password;
mod records;
mod refusals;
mod revocation;
mod sessions;
mod sketch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use self::attempts::{Attempts, Drawn, Standing};
use self::draw::{Candidate, Draw};
use self::origin::AttemptKey;
use self::password::{Effort, Verified};
use self::records::Notes;
use self::refusals::Refusals;
use crate::secret::{Sealer, Secret};
use crate::store::{AppPassword, LoginNote, LoginRecord, Store, StoreError};

pub use crate::store::Id as AccountId;
pub use crate::store::{Account, Grant, LastRefusal, Mailbox, SignInAs, fold};

pub use find::{Found, find};
pub use gate::{Gates, UpstreamPermit};
pub use password::{PasswordError, Passwords, generate_password};
pub use sessions::{SessionGuard, Sessions};

/// For the verification of a login that was drawn: no one waits for it, but it has to end.
const DRAWN_PATIENCE: Duration = Duration::from_secs(60);

/// Verifies logins.
pub struct Accounts {
    store: Arc<dyn Store>,
    passwords: Arc<Passwords>,
    attempts: Arc<Attempts>,
    sessions: Sessions,
    notes: Notes,
    refusals: Refusals,
}

/// What a login comes to.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right.
    Admitted(Box<Admitted>),
    /// Unknown account or wrong password; the client does not learn which.
    Refused,
    /// Too many failures from this address for this name: not even looked at.
    Throttled(Duration),
    /// It would not be, or was not, verified in time; a second try may find what came of it.
    Busy,
}

/// A login whose password is right.
#[derive(Debug)]
pub struct Admitted {
    /// The account.
    pub account: Account,
    /// Its grant, where it has one.
    pub grant: Option<Grant>,
    /// Which of its mailboxes was asked for.
    pub mailbox: Mailbox,
    /// The name of the app password that was used.
    pub password_name: String,
    /// Counts it among the sessions.
    pub session: SessionGuard,
}

impl Accounts {
    /// `sealer` opens the key that generated passwords are hashed with, made at the first start.
    pub async fn open(store: Arc<dyn Store>, sealer: &Sealer) -> Result<Self, PasswordError> {
        let passwords = Arc::new(Passwords::open(&*store, sealer).await?);
        Ok(Self {
            store,
            passwords,
            attempts: Arc::default(),
            sessions: Sessions::default(),
            notes: Notes::default(),
            refusals: Refusals::default(),
        })
    }

    /// Whether `password` opens the account called `name`, asked from `from`. It is answered before `due`:
    /// what is not verified by then goes on, and is remembered.
    pub async fn verify(
        &self,
        name: &str,
        password: &Secret,
        from: IpAddr,
        due: Instant,
    ) -> Result<Verdict, StoreError> {
        let found = find(&*self.store, name).await?;
        // Guesses at a domain account count together, under whatever mailbox they come.
        let key = found.as_ref().map_or_else(|| fold(name), |found| found.key.clone());
        let key = self.attempts.key(from, key.as_str());
        let known = found.as_ref().map(|found| found.record.passwords.as_slice()).unwrap_or_default();
        let (used, charged) = match self.find_at_once(known, password, &key) {
            Some(used) => (used, false),
            None => match self.find(name, known, password, &key, due).await {
                Ok(found) => found,
                Err(refusal) => return Ok(refusal),
            },
        };
        let (password, password_name) = (used.id.clone(), used.name.clone());
        let Some(Found { record, mailbox, .. }) = found else { return Ok(Verdict::Refused) };
        let LoginRecord { account, grant, .. } = record;
        self.attempts.succeeded(&key, charged, Instant::now());
        let session = self.sessions.enter(&password, account.grant.as_ref());
        self.refusals.read(&account);
        self.notes.add(LoginNote {
            account: account.id.clone(),
            password,
            at: OffsetDateTime::now_utc(),
            from: from.to_string(),
        });
        Ok(Verdict::Admitted(Box::new(Admitted { account, grant, mailbox, password_name, session })))
    }

    /// The app password that `password` is, where finding it takes no verification.
    fn find_at_once<'a>(
        &self,
        known: &'a [AppPassword],
        password: &Secret,
        key: &AttemptKey,
    ) -> Option<&'a AppPassword> {
        let generated = self.passwords.find_generated(known, password);
        if generated.is_some() || !self.attempts.may_compare(key, Instant::now()) {
            return generated;
        }
        self.passwords.find_remembered(known, password)
    }

    /// The app password that `password` is, and whether the attempt was charged. An attempt at an account
    /// that has no chosen password, or at none, is charged, drawn and answered like any other.
    async fn find<'a>(
        &self,
        name: &str,
        known: &'a [AppPassword],
        password: &Secret,
        key: &AttemptKey,
        due: Instant,
    ) -> Result<(&'a AppPassword, bool), Verdict> {
        let candidate =
            || self.passwords.is_open(known, password).then(|| Candidate::new(name, password)).flatten();
        match self.attempts.charge(key, Instant::now(), candidate) {
            Standing::Free => {
                let in_time = self.passwords.queue_up(due);
                match self.passwords.verify(known, password, Effort::Any, due).await {
                    Verified::Right(used) => Ok((used, true)),
                    Verified::Wrong if in_time => Err(Verdict::Refused),
                    Verified::Wrong | Verified::Unfinished => Err(Verdict::Busy),
                }
            }
            Standing::Waits(wait, draw) => {
                if let Some(draw) = draw {
                    tokio::spawn(hold(
                        draw,
                        self.store.clone(),
                        self.passwords.clone(),
                        self.attempts.clone(),
                    ));
                }
                // A crowd with one password is verified once.
                let effort = match self.attempts.may_compare(key, Instant::now()) {
                    true => Effort::UnderWay,
                    false => Effort::Joined,
                };
                match self.passwords.verify(known, password, effort, due).await {
                    Verified::Right(used) => Ok((used, false)),
                    Verified::Wrong | Verified::Unfinished => Err(Verdict::Throttled(wait)),
                }
            }
        }
    }

    /// A mark of a wrong `password` for the log: the same one for the same password in this process, and worth nothing
    /// elsewhere, because the key that makes it is nowhere but in its memory.
    pub fn fingerprint(&self, password: &Secret) -> String {
        self.passwords.fingerprint(password)
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

/// Waits for the time of `draw` and verifies who is drawn, so that the next try is let in at once.
async fn hold(mut draw: Draw, store: Arc<dyn Store>, passwords: Arc<Passwords>, attempts: Arc<Attempts>) {
    let winner = loop {
        tokio::time::sleep_until(draw.at).await;
        match attempts.draw(draw.bucket, Instant::now()) {
            Drawn::Winner(winner) => break winner,
            Drawn::Waits(Some(next)) => draw = next,
            Drawn::Waits(None) => return,
        }
    };
    let due = Instant::now() + DRAWN_PATIENCE;
    // Known or not, it takes its turn in the imagined queue.
    passwords.queue_up(due);
    let Some((key, Candidate { name, password })) = winner else { return };
    match find(&*store, &name).await {
        Ok(Some(found)) => {
            let verified = passwords.verify(&found.record.passwords, &password, Effort::Any, due).await;
            if let Verified::Right(_) = verified {
                attempts.won(&key, Instant::now());
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!("a login that waited for its verification was not verified: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Sealer;
    use crate::store::{Authorization, Granted, Id, Limits, Right, Sqlite};

    const ALICE: &str = "alice@example.com";

    /// Accounts with Alice in them, whose password a person chose.
    async fn accounts(directory: &std::path::Path, password: &str) -> Accounts {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.join("store.sqlite")).await.unwrap());
        let sealer = Sealer::new([(1, zeroize::Zeroizing::new([7; 32]))]).unwrap();
        let accounts = Accounts::open(store.clone(), &sealer).await.unwrap();
        let now = OffsetDateTime::now_utc();
        let account = Id::random();
        let chosen = AppPassword {
            id: Id::random(),
            account: account.clone(),
            name: "chosen".to_owned(),
            verifier: accounts.passwords.chosen(&Secret::new(password)).await.unwrap(),
            limits: Limits::default(),
            created_at: now,
            last_used_at: None,
            last_used_from: None,
        };
        let authorization = Authorization {
            account: ALICE.to_owned(),
            aliases: Vec::new(),
            grant: Granted::New(Box::new(Grant::new(Id::random(), "gmail", ALICE, Right::Application, now))),
            id: account,
            password: Some(chosen),
        };
        store.authorize(&authorization).await.unwrap();
        accounts
    }

    async fn verdict(accounts: &Accounts, name: &str, password: &str, from: &str) -> Verdict {
        let due = Instant::now() + Duration::from_millis(500);
        accounts.verify(name, &Secret::new(password), from.parse().unwrap(), due).await.unwrap()
    }

    #[tokio::test]
    async fn security_row_32_behind_a_long_queue_every_failure_is_busy_and_the_right_password_gets_in() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = accounts(directory.path(), "correct-horse-battery").await;
        for name in [ALICE, "nobody@example.com"] {
            assert!(matches!(verdict(&accounts, name, "wrong", "192.0.2.1").await, Verdict::Refused));
        }
        // As after a crowd of unknown names: no run of argon2id, but the queue is as long as it gets.
        let later = Instant::now() + Duration::from_secs(3600);
        while accounts.passwords.queue_up(later) {}
        for (name, from) in [(ALICE, "192.0.2.2"), ("nobody@example.com", "192.0.2.3"), ("x", "192.0.2.4")] {
            let verdict = verdict(&accounts, name, "another", from).await;
            assert!(matches!(verdict, Verdict::Busy), "{name}: {verdict:?}");
            while accounts.passwords.queue_up(later) {}
        }
        let right = verdict(&accounts, ALICE, "correct-horse-battery", "192.0.2.5").await;
        assert!(matches!(right, Verdict::Admitted(_)), "{right:?}");
    }

    #[tokio::test]
    async fn security_row_32_what_is_not_verified_in_time_is_remembered_for_the_next_try() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = accounts(directory.path(), "correct-horse-battery").await;
        let from = "192.0.2.1".parse().unwrap();
        let right = Secret::new("correct-horse-battery");
        let first = accounts.verify(ALICE, &right, from, Instant::now()).await.unwrap();
        assert!(matches!(first, Verdict::Busy), "{first:?}");
        let patience = Instant::now() + Duration::from_secs(60);
        let record = accounts.store.find(&fold(ALICE)).await.unwrap().unwrap();
        while accounts.passwords.find_remembered(&record.passwords, &right).is_none() {
            assert!(Instant::now() < patience, "the run did not go on");
            tokio::task::yield_now().await;
        }
        let second = accounts.verify(ALICE, &right, from, Instant::now()).await.unwrap();
        assert!(matches!(second, Verdict::Admitted(_)), "{second:?}");
    }
}
