//! Stores grants, accounts and app passwords.
//!
//! Invariants for all callers: every write to a grant names the revision that was read, and fails if there is a
//! newer one ([`StoreError::Conflict`]), so that a slow writer never overwrites a new authorisation; a refresh
//! needs a lease, so that two processes on one store never use the same rotating refresh token; and a write is on
//! the disk when its call returns. Secrets arrive sealed: the store never holds a key.

mod account;
mod api_token;
mod changes;
mod contact;
mod contract;
mod counts;
mod dates;
mod devices;
mod directory;
mod grant;
mod instances;
mod lease_marks;
mod limits;
mod links;
mod migrating;
mod place;
#[cfg(not(feature = "postgres"))]
#[path = "store/no_postgres.rs"]
mod postgres;
#[cfg(feature = "postgres")]
#[allow(clippy::duplicate_mod, reason = "the files in store/sql are compiled once for each database")]
mod postgres;
mod sealing;
mod short_lived;
#[allow(clippy::duplicate_mod, reason = "the files in store/sql are compiled once for each database")]
mod sqlite;
pub mod tables;
mod told_keys;
mod trail;

use std::fmt;

pub use crate::protocol::SignInAs;
pub use account::{
    Account, AccountRow, AppPassword, Authorization, Folded, Granted, LastRefusal, LoginNote, LoginRecord,
    Mailbox, MailboxTrouble, Verifier, fold, is_of_domain, takes_consent,
};
pub use api_token::{API_TOKEN_HASH, ApiToken, ApiTokenStore};
pub use changes::{Absence, ChangeStore};
pub use contact::{BEAT, Contact, DEAD_AFTER, FORGOTTEN_AFTER};
pub use contract::{
    AccountStore, AnswerStore, GrantStore, LeaseStore, Leased, LoginStore, SettingStore, Store, Takeover,
    TrailStore,
};
pub use counts::{CountStore, GrantCount};
#[cfg(test)]
pub(crate) use dates::any_date;
pub use dates::sane_date;
pub use devices::{DEVICE_HOUR, DeviceMessages, DeviceStore};
pub use directory::{DirectoryError, Lock, StateDirectory};
pub use grant::{Grant, GrantKind, GrantState, GrantStatus, LONGEST_LOOK, NextLook, Right, Watch};
pub use instances::{GateCount, Instance, InstanceAnswer, InstanceStore, Look, Owed, Question};
pub use lease_marks::LeaseMarks;
pub use limits::Limits;
pub use links::{LinkStore, Linked, SignInLink};
pub use place::{Opening, Place, PostgresSettings, open, open_whole};
pub use postgres::Postgres;
pub use sealing::{SealedSetting, SealingLock};
pub use short_lived::{ShortLived, ShortLivedKind, ShortLivedStore};
pub use sqlite::{Judge, RestoreError, Sqlite, restore};
pub use told_keys::{KeyTeller, KeyTellingStore, ToldKeys};
#[cfg(test)]
pub(crate) use trail::any_act;
pub use trail::{Act, Actor, TrailEntry};

/// The identity of a row: random, so that sealed values can be bound to it before the row is inserted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub String);

impl Id {
    /// A new one (96 random bits).
    pub fn random() -> Self {
        Self(crate::secret::random_text::<12>())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The codes of SQLite and of PostgreSQL if a write finds no room.
const FULL: [&str; 2] = ["13", "53100"];

/// The result of a call to a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process wrote first: read again and decide again.
    #[error("the grant was changed by another process at the same moment; nothing was overwritten")]
    Conflict,
    /// The user's mistake: another account has that login name.
    #[error("{name:?} is already a login name of {account}")]
    LoginNameTaken {
        /// The login name.
        name: String,
        /// The account that it opens.
        account: String,
    },
    /// The user's mistake: the account has an app password of that name.
    #[error("the account already has an app password named {name:?}")]
    PasswordNameTaken {
        /// The password's name.
        name: String,
    },
    /// For the administrator: the state directory or its database cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// For the administrator: there is no room for the write.
    #[error("the disk that the store is on is full, and nothing was written; make room there and try again")]
    Full,
    /// For the administrator: another process has held the lock for longer than any change of ours takes.
    #[error(
        "another process has kept the store locked for ten seconds, so nothing was done; try again, and if that does not \
         help, end that process: a command that was suspended, a copying or backup program, or sqlite3 (fuser -v store.sqlite \
         names it)"
    )]
    Locked,
    /// The server of the database does not answer, or not as a server that takes writes; a later call may succeed.
    #[error("the database is away: {0}")]
    Away(String),
    /// The database failed: read-only, or a disk error.
    #[error("the store failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The first words of the database's error if the store was moved while a process had it open.
const WAS_MOVED: &str = "the store was moved to ";

/// The first characters of PostgreSQL's codes for troubles that pass after a good start: an operator's act or a deadline,
/// a lost connection, a standby, no more room or connections, a deadlock, a transaction or a lock that took too long, a
/// disk that failed, a password or a database that was changed under the program.
const AWAY: [&str; 10] = ["57", "08", "25006", "53", "40", "25P03", "55P03", "58", "28", "3D"];

/// Whether the connection failed, and not the statement. SQLite gives no such errors.
fn is_lost(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Io, PoolTimedOut, Protocol, Tls};
    matches!(error, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let refusal = error.as_database_error().map(sqlx::error::DatabaseError::message);
        if let Some(moved) = refusal.filter(|message| message.starts_with(WAS_MOVED)) {
            return Self::Unusable(moved.to_owned());
        }
        match code.as_deref() {
            Some(code) if FULL.contains(&code) => Self::Full,
            Some(code) if AWAY.iter().any(|away| code.starts_with(away)) => Self::Away(error.to_string()),
            None if is_lost(&error) => Self::Away(error.to_string()),
            _ if is_busy(&error) => Self::Locked,
            _ => Self::Failed(error.into()),
        }
    }
}

/// Whether another connection holds a lock: SQLITE_BUSY or SQLITE_LOCKED, with any extended code.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff), Some(5 | 6))
}

/// The key under which the answer to the sign-in with this `state` is stored; `state` itself is not stored.
pub fn answer_key(state: &str) -> String {
    use base64::Engine as _;
    format!(
        "answer/{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(crate::secret::sha256(state.as_bytes()))
    )
}
