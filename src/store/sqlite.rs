//! The store in one SQLite file, shared by `serve` and the commands.
//!
//! WAL lets them read while one writes; `synchronous=FULL` makes a commit outlive a power cut, which a
//! rotated refresh token must; a busy timeout queues writers. Read-modify-write runs in
//! `BEGIN IMMEDIATE` transactions, so that no reader ever has to become a writer half-way.

mod accounts;
mod answers;
mod backup;
mod changes;
mod counts;
mod devices;
mod grants;
mod holder;
mod leases;
mod limits;
mod logins;
mod look;
mod place;
mod rows;
mod settings;
mod trail;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite as Database, SqliteConnection, Transaction};
use tokio::sync::Mutex;

use self::holder::Holders;
use self::look::Looks;
use self::place::Place;
use super::{Absence, StoreError};

pub use self::backup::{RestoreError, restore};
pub use self::place::Judge;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("sqlite/migrations/0001_initial.sql")),
    (2, "upkeep", include_str!("sqlite/migrations/0002_upkeep.sql")),
    (3, "kinds", include_str!("sqlite/migrations/0003_kinds.sql")),
    (4, "rights", include_str!("sqlite/migrations/0004_rights.sql")),
    (5, "causes", include_str!("sqlite/migrations/0005_causes.sql")),
    (6, "doors", include_str!("sqlite/migrations/0006_doors.sql")),
    (7, "trail", include_str!("sqlite/migrations/0007_trail.sql")),
    (11, "devices", include_str!("sqlite/migrations/0011_devices.sql")),
];

/// Longer than any transaction of ours by far: what waits this long has found a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads run beside one another; more connections than this only cost threads.
const CONNECTIONS: u32 = 4;
/// What ends a wait is the deadline of the login or of the refresh that waits, and not this.
const CONNECTION_WAIT: Duration = Duration::from_secs(120);

/// The store in a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    opened: ArcSwap<Opened>,
    /// How many databases have taken the place of the first one.
    epoch: AtomicU64,
    absence: StdMutex<Option<Absence>>,
    judge: Option<Arc<Judge>>,
}

/// One database, open.
struct Opened {
    pool: SqlitePool,
    looks: Looks,
    holders: Holders,
    /// Writes nothing, so that it sees all other connections' writes; see [`ChangeStore::changes`](super::ChangeStore::changes).
    observer: Mutex<Option<SqliteConnection>>,
    /// The file that was opened.
    place: Place,
    /// The file of its write-ahead log, when it was last looked at.
    log: StdMutex<Option<Place>>,
}

impl Opened {
    /// Opens the file at `path`, which exists and is a database of ours, or empty.
    async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let place = Place::of(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // A statement in the log would hold names.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTION_WAIT)
            // There is no server that could have gone.
            .test_before_acquire(false)
            // A full disk ends SQLite's transaction by itself; sqlx goes on counting it and would never
            // begin another one on that connection.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await?;
        let (looks, holders) = (Looks::new(path), Holders::new(path));
        let opened =
            Self { pool, looks, holders, observer: Mutex::new(None), place, log: StdMutex::new(None) };
        opened.remember_log(path);
        Ok(opened)
    }
}

impl Sqlite {
    /// Opens the database at `path`, making or migrating it as needed. The caller holds the state
    /// directory's lock, so that two processes never migrate at once.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |error: &dyn std::fmt::Display| {
            StoreError::Unusable(format!("the database {} cannot be used: {error}", path.display()))
        };
        // SQLite gives its -wal and -shm files the mode of this one.
        std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| unusable(&error))?;
        let opened = Opened::open(path).await.map_err(|error| unusable(&error))?;
        migrator().run(&opened.pool).await.map_err(|error| unusable(&error))?;
        Ok(Self {
            path: path.to_owned(),
            opened: ArcSwap::from_pointee(opened),
            epoch: AtomicU64::new(0),
            absence: StdMutex::default(),
            judge: None,
        })
    }

    /// Has `judge` look at what is sealed in a database that takes the place of this one.
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { judge: Some(Arc::new(judge)), ..self }
    }

    fn pool(&self) -> Result<SqlitePool, StoreError> {
        Ok(self.opened()?.pool.clone())
    }

    async fn write(&self) -> Result<Transaction<'static, Database>, StoreError> {
        Ok(self.pool()?.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_transaction_a_full_disk_ended_is_not_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap();
        for _ in 0..2 * CONNECTIONS {
            let mut transaction = store.write().await.unwrap();
            // As SQLite does by itself on SQLITE_FULL.
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        }
        store.write().await.unwrap().commit().await.unwrap();
    }
}
