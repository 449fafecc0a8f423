//! Accounts, their app passwords, and limits on guessing.
//!
//! The invariant: a login costs an attacker more than the proxy, and its answer reveals nothing. Generated
//! passwords carry 120 random bits, so one keyed hash verifies them. A chosen password gets argon2id once; a
//! keyed hash, known to this process only, then remembers the result. A few runs of argon2id go on at once,
//! one for each candidate, and none for a remembered password. An unknown account and a wrong password get
//! the same answer after the same delay.

mod attempts;
mod backlog;
mod devices;
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
mod together;
mod untold;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use self::attempts::{Attempts, Drawn, Standing};
use self::devices::Counted;
use self::draw::{Candidate, Draw};
use self::origin::AttemptKey;
use self::password::{Effort, Verified};
use self::records::Notes;
use self::refusals::Refusals;
use crate::protocol::Door;
use crate::secret::{Sealer, Secret};
use crate::store::{AppPassword, LoginNote, LoginRecord, Store};

pub use crate::store::{
    Account, Folded, Grant, LastRefusal, Mailbox, SignInAs, StoreError, fold, takes_consent,
};

pub use devices::{DeviceBar, DeviceLogin, DeviceVerdict};
pub use find::{Found, find};
pub use gate::{Gates, HeldHere, UpstreamPermit};
pub(crate) use origin::{client, network};
pub use password::{PasswordError, Passwords, generate_password};
pub use sessions::{SessionGuard, Sessions};
pub use together::machine;
pub use verdict::{Admitted, Bar, Barred, Verdict};

/// The time for verifying a drawn login. No client waits for it, but it has to end.
const DRAWN_PATIENCE: Duration = Duration::from_secs(60);

/// Verifies logins.
pub struct Accounts {
    store: Arc<dyn Store>,
    passwords: Arc<Passwords>,
    attempts: Arc<Attempts>,
    sessions: Sessions,
    notes: Notes,
    refusals: Refusals,
    counted: Counted,
    changes: tokio::sync::watch::Sender<i64>,
}

impl Accounts {
    /// `sealer` opens the key that hashes generated passwords; the key is made at the first start.
    pub async fn open(store: Arc<dyn Store>, sealer: &Sealer) -> Result<Self, PasswordError> {
        let passwords = Arc::new(Passwords::open(&*store, sealer).await?);
        let attempts = Arc::new(together::attempts(&*store, sealer).await?);
        Ok(Self {
            store,
            passwords,
            attempts,
            sessions: Sessions::default(),
            notes: Notes::default(),
            refusals: Refusals::default(),
            counted: Counted::default(),
            changes: tokio::sync::watch::Sender::default(),
        })
    }

    /// Changes soon after any process has written what sessions depend on, while [`Accounts::end_revoked`] runs.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<i64> {
        self.changes.subscribe()
    }

    /// Whether `password` opens the account called `name` at this `door`, for a client at `from`. The answer comes
    /// before `due`: a verification that is not done by then goes on, and its result is remembered. A password that is
    /// `exposed`, because it came in cleartext over a network, opens nothing unless it is limited to exactly this door.
    pub async fn verify(
        &self,
        name: &str,
        password: &Secret,
        door: Door,
        Asked { from, exposed, due }: Asked,
    ) -> Result<Verdict, StoreError> {
        let mut found = find(&*self.store, name).await?;
        // Guesses at all mailboxes of a domain account count together.
        let key = found.as_ref().map_or_else(|| fold(name), |found| found.key.clone());
        let key = self.attempts.key(from, key.as_str());
        let mut known = found.as_mut().map(|found| std::mem::take(&mut found.record.passwords));
        let (known, elsewhere) = admitted_from(from, known.as_deref_mut().unwrap_or_default());
        let attempt = Attempt { name, password, from, key, known, elsewhere, due };
        let (used, charged) = match self.find_at_once(&attempt) {
            Some(used) => (used, false),
            None => match self.find(&attempt).await {
                Ok(found) => found,
                Err(refusal) => return Ok(refusal),
            },
        };
        let Some(found) = found else { return Ok(Verdict::Refused { elsewhere: None }) };
        self.attempts.succeeded(&key, charged, Instant::now());
        if let Some(barred) = Barred::of(&found, used, door, exposed, OffsetDateTime::now_utc().date()) {
            return Ok(Verdict::Barred(barred));
        }
        let Found { record: LoginRecord { account, grant, .. }, mailbox, .. } = found;
        let (password, password_name) = (used.id.clone(), Some(used.name.clone()));
        let session = self.sessions.enter(&password, account.grant.as_ref(), None);
        self.refusals.read(&account);
        self.notes.add(LoginNote {
            account: account.id.clone(),
            password,
            at: OffsetDateTime::now_utc(),
            from: from.to_string(),
        });
        Ok(Verdict::Admitted(Box::new(Admitted { account, grant, mailbox, password_name, session })))
    }

    /// The app password that matches, where a hash or a remembered result shows it.
    fn find_at_once<'a>(&self, attempt: &Attempt<'a>) -> Option<&'a AppPassword> {
        let Attempt { known, password, key, .. } = attempt;
        let generated = self.passwords.find_generated(known, password);
        if generated.is_some() || !self.attempts.may_compare(key, Instant::now()) {
            return generated;
        }
        self.passwords.find_remembered(known, password)
    }

    /// The app password that matches, and whether the attempt was charged. An attempt at an unknown account,
    /// or one without a chosen password, is charged, drawn and answered like any other.
    async fn find<'a>(&self, attempt: &Attempt<'a>) -> Result<(&'a AppPassword, bool), Verdict> {
        let Attempt { name, password, from, key, known, due, .. } = *attempt;
        let candidate = || {
            let is_open = self.passwords.is_open(known, password);
            is_open.then(|| Candidate::new(name, password, from)).flatten()
        };
        match self.attempts.charge(&key, Instant::now(), candidate) {
            Standing::Free => {
                let in_time = self.passwords.queue_up(due);
                match self.passwords.verify(known, password, Effort::Any, due).await {
                    Verified::Right(used) => Ok((used, true)),
                    Verified::Wrong if in_time => {
                        Err(Verdict::Refused { elsewhere: self.find_elsewhere(attempt).await })
                    }
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
                // Many attempts with the same password cause one verification.
                let effort = match self.attempts.may_compare(&key, Instant::now()) {
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

    /// A mark of a wrong `password` for the log. In this process one password always gets the same mark;
    /// outside it the mark is useless, because the key that makes it never leaves memory.
    pub fn fingerprint(&self, password: &Secret) -> String {
        self.passwords.fingerprint(password)
    }

    /// The name of the app password that matches but is limited to other networks, for the log. The attempt
    /// was charged as wrong; its answer waits for `due` in any case.
    async fn find_elsewhere(&self, attempt: &Attempt<'_>) -> Option<String> {
        let Attempt { elsewhere, password, due, .. } = *attempt;
        if let Some(generated) = self.passwords.find_generated(elsewhere, password) {
            return Some(generated.name.clone());
        }
        match self.passwords.verify(elsewhere, password, Effort::Any, due).await {
            Verified::Right(chosen) => Some(chosen.name.clone()),
            Verified::Wrong | Verified::Unfinished => None,
        }
    }

    /// The open sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

/// The circumstances of a login.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The client's address.
    pub from: IpAddr,
    /// Whether the password could be read on the network.
    pub exposed: bool,
    /// When the answer has to be there.
    pub due: Instant,
}

/// A login under verification.
struct Attempt<'a> {
    name: &'a str,
    password: &'a Secret,
    from: IpAddr,
    key: AttemptKey,
    /// The account's passwords that are allowed from the client's network.
    known: &'a [AppPassword],
    /// The account's other passwords.
    elsewhere: &'a [AppPassword],
    due: Instant,
}

/// The `passwords` that are allowed from `from`, and the others. A password limited to other networks is
/// treated like a missing one, so it costs the client as much as a wrong guess.
fn admitted_from(from: IpAddr, passwords: &mut [AppPassword]) -> (&[AppPassword], &[AppPassword]) {
    passwords.sort_by_key(|password| !password.limits.admits(from));
    passwords.split_at(passwords.partition_point(|password| password.limits.admits(from)))
}

/// Waits for `draw` and verifies the drawn attempt, so that the next try with its password succeeds
/// immediately.
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
    // An unknown account takes its turn in the imagined queue too.
    passwords.queue_up(due);
    let Some((key, Candidate { name, password, from })) = winner else { return };
    match find(&*store, &name).await {
        Ok(Some(mut found)) => {
            let (known, _) = admitted_from(from, &mut found.record.passwords);
            let verified = passwords.verify(known, &password, Effort::Any, due).await;
            if let Verified::Right(_) = verified {
                attempts.won(&key, Instant::now());
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!("a drawn login could not be verified: {error}"),
    }
}

#[cfg(test)]
mod tests;
