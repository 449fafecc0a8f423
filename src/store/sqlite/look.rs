//! The look that every login takes, on the thread of the login.
//!
//! sqlx asks a thread of its own and waits for it; the two wake-ups cost ten times the query, and
//! were a fifth of a login. SQLite itself is a function call, and what it reads is in memory. Should it
//! ever have to wait for another process (which recovers the database after a crash), a thread that may
//! wait does it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::BUSY_TIMEOUT;
use super::rows::{ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS, account, grant, password};
use crate::store::{Folded, LoginRecord, StoreError};

/// Connections that only read: as many as threads of the runtime have looked at the same time.
#[derive(Clone)]
pub(super) struct Looks {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Looks {
    pub(super) fn new(database: &Path) -> Self {
        Self { path: database.into(), idle: Arc::default() }
    }

    /// Lets go of the database; a look that is under way finishes.
    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The account with exactly this login name.
    pub(super) async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>, StoreError> {
        match self.look(name, false) {
            Err(StoreError::Failed(error)) if is_busy(&*error) => {
                let (looks, name) = (self.clone(), name.clone());
                let looking = tokio::task::spawn_blocking(move || looks.look(&name, true));
                looking.await.map_err(|error| StoreError::Failed(error.into()))?
            }
            looked => looked,
        }
    }

    fn look(&self, name: &Folded, may_wait: bool) -> Result<Option<LoginRecord>, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                // One that writes nothing, but may have to make the file of the WAL's index.
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(&self.path, flags)?
            }
        };
        connection.busy_timeout(if may_wait { BUSY_TIMEOUT } else { Default::default() })?;
        // After an error the connection is dropped, and the next look begins with a new one.
        let found = read(&connection, name)?;
        // Hundreds may have waited, and so many are never needed again.
        if !may_wait {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(found)
    }
}

fn read(connection: &Connection, name: &Folded) -> Result<Option<LoginRecord>, StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        ACCOUNT_COLUMNS!(),
        ", ",
        GRANT_COLUMNS!(),
        ", ",
        PASSWORD_COLUMNS!(),
        " FROM login_names n JOIN accounts a ON a.id = n.account_id",
        " LEFT JOIN grants g ON g.id = a.grant_id LEFT JOIN passwords p ON p.account_id = a.id",
        " WHERE n.folded = ?"
    ))?;
    let mut rows = statement.query([name.as_str()])?;
    let mut found: Option<LoginRecord> = None;
    while let Some(row) = rows.next()? {
        let record = match &mut found {
            Some(record) => record,
            None => found.insert(LoginRecord {
                account: account(row)?,
                grant: grant(row)?,
                passwords: Vec::new(),
            }),
        };
        record.passwords.extend(password(row)?);
    }
    Ok(found)
}

fn is_busy(error: &(dyn std::error::Error + 'static)) -> bool {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fold;
    use crate::store::sqlite::Sqlite;

    fn kept(looks: &Looks) -> usize {
        looks.idle.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_database_that_is_taken_is_waited_for_beside_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let (path, alice) = (directory.path().join("store.sqlite"), fold("alice"));
        let store = Sqlite::open(&path).await.unwrap();
        let (pool, looks) = (store.pool().unwrap(), store.opened().unwrap().looks.clone());
        pool.close().await;
        let taker = Connection::open(&path).unwrap();
        taker.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();

        let StoreError::Failed(error) = looks.look(&alice, false).unwrap_err() else { panic!("no failure") };
        assert!(is_busy(&*error), "{error}");
        let mut found = Box::pin(looks.find(&alice));
        tokio::select! {
            biased;
            _ = &mut found => unreachable!("it is taken"),
            () = std::future::ready(()) => {}
        }
        drop(taker);
        assert!(found.await.unwrap().is_none());
        assert_eq!(kept(&looks), 0, "who waited keeps nothing");
        assert!(looks.find(&alice).await.unwrap().is_none());
        assert_eq!(kept(&looks), 1);
    }

    #[tokio::test]
    async fn a_database_that_is_gone_is_an_error_and_not_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        Looks::new(&path).find(&fold("alice")).await.unwrap_err();
        assert!(!path.exists());
    }
}
