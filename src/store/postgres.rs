//! The store in a PostgreSQL database, shared by several instances of `serve` and the commands.
//!
//! Transactions that write take one lock of the database, as SQLite's writers do, so that both stores run the same
//! statements in the same order; a refresh is written by one statement, which locks only its row. A lease belongs to a
//! process that writes a sign of life every few seconds, by the clock of the database. The records that logins read are
//! remembered for a while, because the database may be away for a minute; a login that fails then is told that the
//! database is down, never that there is no such account.

mod changes;
mod connect;
mod dialect;
mod holder;
mod instances;
mod keys;
mod leases;
mod look;
mod news;
mod pool;
mod pulse;
mod sealing;
mod server;
mod slots;
#[path = "sql/all.rs"]
mod sql;

use std::sync::Arc;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use self::holder::Holder;
use self::news::News;
use self::pool::{Pool, Writing};
use self::pulse::Pulse;
use super::migrating::{self, Found, Statements};
use super::{Id, Judge, PostgresSettings, Result};

const MIGRATIONS: &[Statements] = &[(1, "initial", include_str!("postgres/migrations/0001_initial.sql"))];

/// The advisory lock of writes that read first.
const WRITING: i64 = 0x696d_6170_0000_0001;

/// The lock of the process that migrates.
const MIGRATING: &str = "SELECT pg_advisory_xact_lock(7596835280108126211)";

/// The store in a PostgreSQL database.
pub struct Postgres {
    /// The address of the database, without the password.
    shown: String,
    pool: Pool,
    /// For what must not wait behind logins: signs of life, leases, and the tokens that a provider has just given.
    vital: Pool,
    pulse: Arc<Pulse>,
    /// Who waits for the lock of those who seal.
    sealing: sealing::Queue,
    holder: Arc<Holder>,
    news: News,
    known: look::Known,
}

/// An open database that is not migrated yet.
pub(super) struct Unmigrated {
    settings: PostgresSettings,
    pool: Pool,
    found: Found,
}

impl Unmigrated {
    /// Connects to the database, which must be empty or one of ours.
    pub(super) async fn open(settings: PostgresSettings) -> Result<Self> {
        let pool = connect::pool(&settings).await?;
        let found = sql::found(&pool).await.map_err(|error| connect::unusable(&settings.url, &error))?;
        Ok(Self { settings, pool, found })
    }

    /// Whether the database holds no sealed value.
    pub(super) fn is_new(&self) -> bool {
        self.found.sealed.is_empty()
    }

    /// Migrates the tables to this version, under a lock, so that of two instances that start at once one migrates and
    /// the other waits. Judges the sealed values first: a process that cannot use the store must not change it.
    pub(super) async fn migrate(self, judge: Option<Judge>) -> Result<Postgres> {
        let Self { settings, pool, found } = self;
        let unusable = |error: &dyn std::fmt::Display| connect::unusable(&settings.url, error);
        found.judge(judge.map(Arc::new), MIGRATIONS).await.map_err(|why| unusable(&why))?;
        // On a connection without deadlines, because a migration, or the wait for one by another instance, takes long.
        let mut connection = connect::alone(&settings).await?;
        migrate(&mut connection).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => {
                unusable(&"it is of a newer version of this program; install that one")
            }
            error => unusable(&error),
        })?;
        let news = News::new(connect::listening(&settings), pool.clone());
        let vital = pool.beside(connect::VITAL);
        let (holder, known) = (Arc::new(Holder::new(vital.clone())), look::Known::new(settings.stale));
        let shown = settings.shown();
        let pulse = Pulse::new(pool.clone(), shown.clone());
        Ok(Postgres { shown, pool, vital, pulse, sealing: sealing::Queue::default(), holder, news, known })
    }
}

impl Postgres {
    /// Opens the database, and makes or migrates its tables if needed.
    pub async fn open(settings: PostgresSettings) -> Result<Self> {
        Unmigrated::open(settings).await?.migrate(None).await
    }

    /// The connections; an error while the database is away, so that no call waits for it.
    fn pool(&self) -> Result<Pool> {
        self.pulse.is_there()?;
        Ok(self.pool.clone())
    }

    /// The same for what must not wait behind logins.
    fn vital(&self) -> Result<Pool> {
        self.pulse.is_there()?;
        Ok(self.vital.clone())
    }

    /// A transaction that no other writer which reads first comes between.
    async fn write(&self) -> Result<Writing> {
        let mut transaction = self.pool()?.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITING).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn any_holder_lives(&self) -> Result<bool> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM holders WHERE seen > clock_timestamp() - $1 * interval '1 second')";
        Ok(sqlx::query_scalar(sql).bind(super::DEAD_AFTER).fetch_one(&self.pool()?).await?)
    }

    fn shown_place(&self) -> String {
        format!("the database {}", self.shown)
    }

    /// The name of this process as a lease holder, if it has taken a lease, and the mark of its lease on `grant`.
    #[allow(clippy::unnecessary_wraps, reason = "SQLite's file may be gone")]
    fn known_lease(&self, grant: &Id) -> Result<(Option<String>, Option<i64>)> {
        let mark = self.holder.marks(|marks| marks.of(grant));
        Ok((self.holder.known().filter(|_| mark.is_some()), mark))
    }

    /// A write has released the lease on `grant`.
    fn lease_ended(&self, grant: &Id) {
        self.holder.marks(|marks| marks.ended(grant));
    }
}

/// In one transaction, so that a pooler lends one connection for all of it. The statements that sqlx names for it are
/// removed from that connection, which other clients use afterwards.
async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    transaction.execute("DEALLOCATE ALL").await?;
    transaction.execute(MIGRATING).await?;
    let mut migrator = migrating::migrator(MIGRATIONS);
    // sqlx's lock belongs to a session.
    migrator.set_locking(false);
    migrator.run(&mut *transaction).await?;
    transaction.execute("DEALLOCATE ALL").await?;
    Ok(transaction.commit().await?)
}
