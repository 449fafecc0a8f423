//! The store in one SQLite file, shared by `serve` and the commands.
//!
//! WAL lets processes read while one writes. `synchronous=FULL` keeps a commit through a power failure, which a
//! rotated refresh token needs. A busy timeout queues writers. Read-modify-write runs in `BEGIN IMMEDIATE`
//! transactions, so that no reader has to become a writer later.

mod backup;
mod changes;
mod dialect;
#[cfg(feature = "postgres")]
mod filled;
mod holder;
mod leases;
mod look;
mod place;
#[path = "sql/all.rs"]
mod sql;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite as Database, SqliteConnection, Transaction};
use tokio::sync::Mutex;

use self::holder::Holders;
use self::look::Looks;
use self::place::Place;
use super::migrating::{self, Found, Statements};
use super::{Absence, Folded, Lock, LoginRecord, Result, SealingLock, StoreError};

pub use self::backup::{RestoreError, restore};
pub use self::place::Judge;

/// The numbers 8 to 10 and 14 do not exist on purpose: databases without them are in use, and a migration below the newest
/// one that a database has would change it out of order.
const MIGRATIONS: &[Statements] = &[
    (1, "initial", include_str!("sqlite/migrations/0001_initial.sql")),
    (2, "upkeep", include_str!("sqlite/migrations/0002_upkeep.sql")),
    (3, "kinds", include_str!("sqlite/migrations/0003_kinds.sql")),
    (4, "rights", include_str!("sqlite/migrations/0004_rights.sql")),
    (5, "causes", include_str!("sqlite/migrations/0005_causes.sql")),
    (6, "doors", include_str!("sqlite/migrations/0006_doors.sql")),
    (7, "trail", include_str!("sqlite/migrations/0007_trail.sql")),
    (11, "devices", include_str!("sqlite/migrations/0011_devices.sql")),
    (12, "links", include_str!("sqlite/migrations/0012_links.sql")),
    (13, "api_tokens", include_str!("sqlite/migrations/0013_api_tokens.sql")),
    (15, "short_lived", include_str!("sqlite/migrations/0015_short_lived.sql")),
];

/// Far longer than any transaction: after this wait the disk is stuck.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads run in parallel; more connections than this only cost threads.
const CONNECTIONS: u32 = 4;
/// Longer than any deadline of a login or refresh that waits for the connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(120);

/// The store in a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    opened: ArcSwap<Opened>,
    /// Number of databases that have replaced the first one.
    epoch: AtomicU64,
    absence: StdMutex<Option<Absence>>,
    judge: Option<Arc<Judge>>,
}

/// One database, open.
struct Opened {
    pool: SqlitePool,
    looks: Looks,
    holders: Holders,
    /// A connection that never writes, so that it notices the writes of all others
    /// ([`ChangeStore::changes`](super::ChangeStore::changes)).
    observer: Mutex<Option<SqliteConnection>>,
    /// The opened file.
    place: Place,
    /// The file of its write-ahead log at the last check.
    log: StdMutex<Option<Place>>,
}

impl Opened {
    /// Opens the file at `path`, which must be a database of ours, or empty.
    async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let place = Place::of(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // A page of a list, so that SQLite's thread and the reader wake each other once a page.
            .row_buffer_size(500)
            // Logged statements would hold names.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTION_WAIT)
            // The connections need no check, because there is no server that can disappear.
            .test_before_acquire(false)
            // On a full disk SQLite ends the transaction by itself, but sqlx still counts it and would never begin
            // another one on that connection.
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

/// An open database that is not migrated yet.
pub(super) struct Unmigrated {
    path: PathBuf,
    opened: Opened,
    found: Found,
}

impl Unmigrated {
    /// Opens the database at `path`, or makes it.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        // SQLite gives its -wal and -shm files the mode of this file.
        std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| unusable(path, &error))?;
        let opened = Opened::open(path).await.map_err(|error| unusable(path, &error))?;
        let found = sql::found(&opened.pool).await.map_err(|error| unusable(path, &error))?;
        Ok(Self { path: path.to_owned(), opened, found })
    }

    /// Whether it holds no sealed value.
    pub(super) fn is_new(&self) -> bool {
        self.found.sealed.is_empty()
    }

    /// Migrates the tables to this version, under the state directory's lock, so that two processes never migrate
    /// at once. Judges the sealed values first: a process that cannot use the store must not change it.
    pub(super) async fn migrate(self, judge: Option<Judge>) -> Result<Sqlite> {
        let Self { path, opened, found } = self;
        let judge = judge.map(Arc::new);
        found.judge(judge.clone(), MIGRATIONS).await.map_err(|why| unusable(&path, &why))?;
        migrating::migrator(MIGRATIONS).run(&opened.pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => {
                unusable(&path, &"it is of a newer version of this program; install that one again")
            }
            error => unusable(&path, &error),
        })?;
        Ok(Sqlite {
            path,
            opened: ArcSwap::from_pointee(opened),
            epoch: AtomicU64::new(0),
            absence: StdMutex::default(),
            judge,
        })
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("the database {} cannot be used: {error}", path.display()))
}

impl Sqlite {
    /// Opens the database at `path`, and makes or migrates it if needed. The caller holds the state directory's
    /// lock, so that two processes never migrate at once.
    pub async fn open(path: &Path) -> Result<Self> {
        Unmigrated::open(path).await?.migrate(None).await
    }

    fn pool(&self) -> Result<SqlitePool> {
        Ok(self.opened()?.pool.clone())
    }

    /// The same: all writes of a file wait for each other.
    fn vital(&self) -> Result<SqlitePool> {
        self.pool()
    }

    /// The record for a login.
    async fn look(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        self.opened()?.looks.find(name).await
    }

    #[allow(clippy::unused_async, reason = "PostgreSQL has to be asked")]
    async fn any_holder_lives(&self) -> Result<bool> {
        Ok(holder::any_is_alive(&self.path))
    }

    fn shown_place(&self) -> String {
        format!("the database {}", self.path.display())
    }

    /// The name of this process as a lease holder, if it has taken a lease. No statement comes late in a file, so that leases
    /// need no mark.
    fn known_lease(&self, _: &super::Id) -> Result<(Option<String>, Option<i64>)> {
        Ok((self.opened()?.holders.known(), None))
    }

    #[allow(clippy::unused_self, reason = "PostgreSQL's leases have marks")]
    fn lease_ended(&self, _: &super::Id) {}

    async fn keep_others_from_sealing(&self) -> Result<SealingLock> {
        let file = self.path.with_file_name(Lock::FILE);
        let taking = tokio::task::spawn_blocking(move || Lock::take(&file));
        match taking.await {
            Ok(Ok(lock)) => Ok(SealingLock::new(lock)),
            Ok(Err(error)) => Err(StoreError::Unusable(error.to_string())),
            Err(error) => Err(StoreError::Failed(error.into())),
        }
    }

    async fn write(&self) -> Result<Transaction<'static, Database>> {
        Ok(self.pool()?.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Account, AccountStore as _, AppPassword, Authorization, Grant, Granted, Id, Limits, LoginStore as _,
        Right, TrailStore as _, Verifier, fold,
    };

    #[test]
    fn the_numbers_8_to_10_and_14_stay_empty_and_the_others_rise() {
        let numbers: Vec<i64> = MIGRATIONS.iter().map(|(number, ..)| *number).collect();
        assert!(
            numbers.starts_with(&[1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 15]) && numbers.is_sorted(),
            "{numbers:?}"
        );
    }

    /// A process of the previous version continues beside this one: until its last session has ended, or for good
    /// if this process fails. Migrations 0001 to 0007 are from before that was possible.
    #[test]
    fn migrations_leave_what_the_version_before_uses() {
        for (number, name, sql) in MIGRATIONS.iter().filter(|(number, ..)| *number > 7) {
            let sql = sql.to_uppercase();
            let takes = ["DROP TABLE", "DROP COLUMN", "RENAME "].iter().find(|word| sql.contains(**word));
            assert_eq!(takes, None, "{number:04}_{name}");
        }
    }

    #[tokio::test]
    async fn a_connection_whose_transaction_a_full_disk_ended_is_not_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap();
        for _ in 0..2 * CONNECTIONS {
            let mut transaction = store.write().await.unwrap();
            // SQLite does the same on SQLITE_FULL.
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        }
        store.write().await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_another_process_keeps_locked_is_one_sentence_with_its_cure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        let store = Sqlite::open(&path).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::ZERO);
        let mut other = options.clone().connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        // The store's own connections would wait for ten seconds.
        let pool = store.pool().unwrap();
        let impatient = (*pool.connect_options()).clone().busy_timeout(Duration::ZERO);
        let mut hasty = impatient.connect().await.unwrap();
        let error = sqlx::query("BEGIN IMMEDIATE").execute(&mut hasty).await.unwrap_err();
        let locked = StoreError::from(error);
        assert!(matches!(locked, StoreError::Locked), "{locked:?}");
        let words = locked.to_string();
        assert!(words.contains("another process") && words.contains("fuser -v store.sqlite"), "{words}");
    }

    /// Gives an open store's disk room for `pages` more pages.
    async fn give_room(store: &Sqlite, pages: u32) {
        let pool = store.pool().unwrap();
        let options = (*pool.connect_options()).clone();
        pool.set_connect_options(options.pragma("max_page_count", pages.to_string()));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(pool.acquire().await.unwrap());
        }
        for connection in connections {
            connection.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn on_a_full_disk_a_change_fails_whole_and_logins_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap();
        let account = with_account(&store).await;
        give_room(&store, 1).await;
        let act = crate::store::any_act();
        let full = loop {
            let password = password(&account.id);
            if let Err(error) = store.add_password(&password, &act).await {
                break error;
            }
        };
        assert!(matches!(full, StoreError::Full), "{full:?}");
        for _ in 0..2 * CONNECTIONS {
            let again = store.add_password(&password(&account.id), &act).await.unwrap_err();
            assert!(matches!(again, StoreError::Full), "{again:?}");
        }
        let entries = store.trail(None, 0, 10_000).await.unwrap().len();
        let found = store.find(&fold("alice")).await.unwrap().unwrap();
        assert_eq!(found.passwords.len(), entries, "each with its entry");
        assert!(entries > 0);
        give_room(&store, 1_000_000).await;
        store.add_password(&password(&account.id), &act).await.unwrap();
        assert_eq!(store.passwords(&account.id).await.unwrap().len(), entries + 1);
    }

    async fn with_account(store: &Sqlite) -> Account {
        let right = Right::Person { refresh_token: b"sealed".to_vec() };
        let grant = Grant::new(Id::random(), "acme", "alice", right, time::OffsetDateTime::now_utc());
        let authorization = Authorization {
            account: "alice".to_owned(),
            aliases: Vec::new(),
            grant: Granted::New(Box::new(grant)),
            id: Id::random(),
            password: None,
            disabled: false,
        };
        store.authorize(&authorization, &[]).await.unwrap()
    }

    fn password(account: &Id) -> AppPassword {
        AppPassword {
            id: Id::random(),
            account: account.clone(),
            name: crate::secret::random_text::<48>(),
            verifier: Verifier::Generated(b"hash".to_vec()),
            limits: Limits::default(),
            created_at: time::OffsetDateTime::now_utc(),
            last_used_at: None,
            last_used_from: None,
        }
    }
}
