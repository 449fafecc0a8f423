//! Copies the store while it is in use, and replaces the store by a copy.
//!
//! A copy shows one moment of the store: SQLite writes it from one read transaction, which delays no writer. A
//! replacement is judged before any file moves, and only if no process has the store open: a process that still
//! uses the replaced file would write changes that no other process sees.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempPath;
use time::OffsetDateTime;
use time::macros::format_description;

use super::holder;
use super::place::{LOG, LOG_INDEX, Release, beside, remove_log, settings_of};
use super::{BUSY_TIMEOUT, Judge, Sqlite};
use crate::files;
use crate::store::{ShortLivedKind, StoreError, is_busy};

/// Why a copy did not replace the store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A process has the store open.
    #[error("the store {0} is in use")]
    InUse(PathBuf),
    /// The file is not a usable store.
    #[error("{file} cannot take the place of the store: {why}")]
    Unfit {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// An operating system's refusal.
    #[error("{path} cannot be used: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Sqlite {
    /// Writes a copy to `file`, which must not exist.
    pub(super) async fn write_copy(&self, file: &Path) -> Result<(), StoreError> {
        let new = NewFile::make(file)?;
        let name = file.to_str().ok_or_else(|| {
            StoreError::Unusable(format!("{} is a name that SQLite cannot write to", file.display()))
        })?;
        sqlx::query("VACUUM INTO ?").bind(name).execute(&self.pool()?).await?;
        forget_what_is_said(file).await?;
        new.keep()
    }
}

/// A file that is removed again unless it is kept.
pub(super) struct NewFile(TempPath);

impl NewFile {
    pub(super) fn make(file: &Path) -> Result<Self, StoreError> {
        files::create(file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::Unusable(format!("{} exists already", file.display()))
            }
            _ => Self::failed(file, &error),
        })?;
        TempPath::try_from_path(file).map(Self).map_err(|error| Self::failed(file, &error))
    }

    pub(super) fn keep(self) -> Result<(), StoreError> {
        files::sync(&self.0).map_err(|error| Self::failed(&self.0, &error))?;
        self.0.keep().map(drop).map_err(|error| Self::failed(&error.path, &error.error))
    }

    fn failed(file: &Path, error: &io::Error) -> StoreError {
        StoreError::Unusable(format!("{}: {error}", file.display()))
    }
}

/// Replaces `database` by a copy of `file`, after `judge` has checked its sealed values; returns the new path of
/// the replaced database. The caller holds the state directory's lock.
pub async fn restore(file: &Path, database: &Path, judge: Judge) -> Result<Option<PathBuf>, RestoreError> {
    // The copy lies beside the database, so that one rename replaces it, and is judged there.
    let new = beside(database, ".restoring");
    let _ = std::fs::remove_file(&new);
    let unusable = |error| RestoreError::Io { path: database.to_owned(), error };
    let unfinished = TempPath::try_from_path(&new).map_err(unusable)?;
    let (from, to) = (file.to_owned(), new.clone());
    blocking(file, move || copy(&from, &to)).await?;
    let unfit = |why: String| RestoreError::Unfit { file: file.to_owned(), why };
    let settings = settings_of(&new, Release::ThisOrEarlier).await;
    remove_log(&new);
    let settings = settings.map_err(unfit)?;
    blocking(file, move || Ok(judge(&settings))).await?.map_err(unfit)?;
    forget_sessions(&new).await.map_err(|error| unfit(error.to_string()))?;
    let kept = keep(database).await?;
    unfinished.persist(database).map_err(|error| unusable(error.error))?;
    files::sync(database).map_err(unusable)?;
    Ok(kept)
}

/// Removes the sessions of the page and the entrances to it from a restored copy: a person may have signed out since
/// the copy was made.
async fn forget_sessions(new: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(new).connect().await?;
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'short_lived'";
    let of_this_version: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    if of_this_version > 0 {
        sqlx::query("DELETE FROM short_lived").execute(&mut connection).await?;
    }
    connection.close().await?;
    remove_log(new);
    Ok(())
}

/// Removes the messages that the page shows once: they are of no use in a copy, and may hold a new app password. Their
/// bytes are overwritten.
pub(super) async fn forget_what_is_said(copy: &Path) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(copy).journal_mode(SqliteJournalMode::Delete);
    let options = options.pragma("secure_delete", "ON").disable_statement_logging();
    let mut connection = options.connect().await?;
    let sql = "DELETE FROM short_lived WHERE kind = $1";
    sqlx::query(sql).bind(ShortLivedKind::Said.name()).execute(&mut connection).await?;
    connection.close().await
}

/// Runs work that may wait for a disk or for keys.
async fn blocking<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> Result<T, RestoreError> + Send + 'static,
) -> Result<T, RestoreError> {
    let gone = |error| RestoreError::Io { path: file.to_owned(), error: io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(gone)?
}

fn copy(file: &Path, new: &Path) -> Result<(), RestoreError> {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |error| RestoreError::Io { path, error }
    };
    let mut from = File::open(file).map_err(of(file))?;
    let mut to = files::create(new).map_err(of(new))?;
    io::copy(&mut from, &mut to).map_err(of(new))?;
    to.sync_all().map_err(of(new))
}

/// Renames the database, with its log if that could not be emptied.
async fn keep(database: &Path) -> Result<Option<PathBuf>, RestoreError> {
    let in_use = || RestoreError::InUse(database.to_owned());
    if holder::any_is_alive(database) {
        return Err(in_use());
    }
    if !database.exists() {
        return Ok(None);
    }
    // Held until the database is renamed: another process waits, or fails.
    let alone = match alone_with(database).await {
        Ok(connection) => Some(connection),
        Err(error) if is_busy(&error) => return Err(in_use()),
        // The database may be damaged, which is a reason to restore a backup.
        Err(_) => None,
    };
    let format = format_description!("[year][month][day]-[hour][minute][second]");
    let now = OffsetDateTime::now_utc().format(format).unwrap_or_default();
    let kept = beside(database, &format!(".before-{now}"));
    let moved = std::fs::rename(database, &kept);
    moved.map_err(|error| RestoreError::Io { path: database.to_owned(), error })?;
    for ending in [LOG, LOG_INDEX] {
        let _ = std::fs::rename(beside(database, ending), beside(&kept, ending));
    }
    if let Some(alone) = alone {
        // Closed before the copy lies at the path: closing a connection removes the files beside the database.
        let _ = alone.close().await;
    }
    Ok(Some(kept))
}

/// The only connection to the database, with an empty log.
async fn alone_with(database: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY_TIMEOUT);
    let options = options.locking_mode(SqliteLockingMode::Exclusive).disable_statement_logging();
    let mut connection = options.connect().await?;
    connection.begin_with("BEGIN IMMEDIATE").await?.commit().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection)
}
