//! Changes that other processes make to the store and its database.

use std::collections::HashSet;
use std::path::Path;

use async_trait::async_trait;
use time::Date;

use super::{Id, Result};

/// A database that has gone from its place. Meanwhile every call fails, and a process that has waited too long ends.
#[derive(Clone, Debug)]
pub struct Absence {
    /// When the absence was first noticed.
    pub since: std::time::Instant,
    /// The cause.
    pub cause: String,
    /// The cure.
    pub cure: &'static str,
}

/// Changes that other processes made to the store and its database.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// A number that changes whenever any process has written what sessions depend on: names, passwords, accounts,
    /// grants in force, settings. Cheap.
    async fn changes(&self) -> Result<i64>;

    /// Waits until the database says that another process has written, or that such a notice may be lost; for ever
    /// where the database sends no notices. Only a hint: [`ChangeStore::changes`] decides.
    async fn news(&self) {
        std::future::pending::<()>().await;
    }

    /// Whether logins go on from remembered records while the database is away.
    fn remembers_logins(&self) -> bool {
        false
    }

    /// Whether the database's notices of other processes' writes arrive; `None` where the database sends none.
    fn hears_news(&self) -> Option<bool> {
        None
    }

    /// The app passwords among `of` that are still valid: the account is not disabled and has a grant in force, and the
    /// password did not end before `today` (UTC).
    async fn passwords_in_force(&self, of: &HashSet<Id>, today: Date) -> Result<HashSet<Id>>;

    /// Checks whether the database is still the one that was opened. If another one has taken its place, and is a store
    /// of ours, opens that. Until then, and while there is no database, every other call fails.
    async fn reopen(&self) -> Result<()> {
        Ok(())
    }

    /// Writes a copy of the store at one moment to `file`, which must not exist; other processes continue
    /// meanwhile.
    async fn copy_to(&self, file: &Path) -> Result<()>;

    /// Changes when another database has replaced the open one: rows that were read before are then invalid.
    fn epoch(&self) -> u64 {
        0
    }

    /// Why [`ChangeStore::reopen`] finds no usable database, if it finds none.
    fn absence(&self) -> Option<Absence> {
        None
    }
}
