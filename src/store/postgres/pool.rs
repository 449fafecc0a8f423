//! Statements, also through a pooler that gives each transaction another connection of the server.
//!
//! sqlx prepares a statement under a name and uses the name again. Behind a pooler in transaction mode the name may
//! belong to another client's statement, and settings of a session apply to other clients. So until the database has
//! proven that it hears this process by `LISTEN`, which no such pooler passes on, each statement has no name and a
//! transaction around it, and deadlines are set for the transaction. That costs three round trips more.
//!
//! The server's deadlines do not help if the server vanishes, so each statement has a deadline in this process, too.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres as Database, SqlStr, Transaction};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// A transaction's own deadlines, where the session has none.
const BEGIN: &str =
    "BEGIN; SET LOCAL statement_timeout = 10000; SET LOCAL idle_in_transaction_session_timeout = 10000";
/// Longer than the server's own deadline, which comes first while the server lives.
const PATIENCE: Duration = Duration::from_secs(12);

/// Longer than a rotation of the keys of a million grants.
const FOR_LONG: Duration = Duration::from_secs(24 * 3600);

/// Whether the connections are known to lead to the server itself.
#[derive(Debug, Default)]
pub(super) struct Directness {
    proven: OnceLock<Instant>,
    /// Whether a statement got no answer: then each connection has to answer a ping before it is used again.
    is_doubted: AtomicBool,
}

impl Directness {
    /// Whether the connections have to be checked; the call resets this.
    pub(super) fn takes_doubt(&self) -> bool {
        self.is_doubted.swap(false, Ordering::SeqCst)
    }

    fn doubt(&self) -> Error {
        self.is_doubted.store(true, Ordering::SeqCst);
        std::io::Error::from(std::io::ErrorKind::TimedOut).into()
    }

    /// Records the proof: the connections lead to the server itself, or to a pooler that keeps a connection for a
    /// session.
    pub(super) fn prove(&self) {
        self.proven.get_or_init(Instant::now);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.get().is_some()
    }

    /// Whether the proof came after `moment`.
    pub(super) fn is_proven_after(&self, moment: Instant) -> bool {
        self.proven.get().is_some_and(|proven| *proven > moment)
    }
}

/// Connections for single statements and transactions.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pool: PgPool,
    directness: Arc<Directness>,
}

impl Pool {
    pub(super) fn new(pool: PgPool, directness: Arc<Directness>) -> Self {
        Self { pool, directness }
    }

    pub(super) fn directness(&self) -> &Directness {
        &self.directness
    }

    pub(super) fn connect_options(&self) -> PgConnectOptions {
        (*self.pool.connect_options()).clone()
    }

    /// The answer of a connection. A connection that did not answer is closed without a farewell, which might take for
    /// ever.
    fn judge<T>(
        &self,
        connection: PoolConnection<Database>,
        answered: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Error> {
        answered.unwrap_or_else(|_| {
            drop(connection.detach());
            Err(self.directness.doubt())
        })
    }

    pub(super) async fn begin(&self) -> Result<Writing, Error> {
        match self.directness.is_proven() {
            true => self.begin_with("BEGIN").await,
            false => self.begin_with(BEGIN).await,
        }
    }

    pub(super) async fn begin_with(&self, begin: &'static str) -> Result<Writing, Error> {
        // Read before the transaction begins, so that a transaction without a deadline of its session uses no named
        // statement.
        let is_direct = self.directness.is_proven();
        let began = timeout(PATIENCE, self.pool.begin_with(begin)).await;
        let transaction = began.unwrap_or_else(|_| Err(self.directness.doubt()))?;
        Ok(Writing(Conversation {
            transaction,
            is_direct,
            directness: self.directness.clone(),
            patience: PATIENCE,
        }))
    }
}

impl<'c> Executor<'c> for &'_ Pool {
    type Database = Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        let pool = self.clone();
        let all = async move {
            let all: Vec<_> = if pool.directness.is_proven() {
                let mut one = pool.pool.acquire().await?;
                let answered = timeout(PATIENCE, one.fetch_many(query).try_collect()).await;
                pool.judge(one, answered)?
            } else {
                let mut transaction = pool.begin().await?;
                let all = transaction.fetch_many(query).try_collect().await?;
                transaction.commit().await?;
                all
            };
            Ok::<_, Error>(stream::iter(all).map(Ok))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        let pool = self.clone();
        async move {
            if pool.directness.is_proven() {
                let mut one = pool.pool.acquire().await?;
                let answered = timeout(PATIENCE, one.fetch_optional(query)).await;
                return pool.judge(one, answered);
            }
            let mut transaction = pool.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }
}

/// A transaction.
pub(super) struct Writing(Conversation);

impl Writing {
    /// From now on statements of this transaction may take long, because they wait for a lock of another process.
    pub(super) fn waits(&mut self) {
        self.0.patience = FOR_LONG;
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        let Conversation { transaction, directness, .. } = self.0;
        timeout(PATIENCE, transaction.commit()).await.unwrap_or_else(|_| Err(directness.doubt()))
    }
}

impl Deref for Writing {
    type Target = Conversation;

    fn deref(&self) -> &Conversation {
        &self.0
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Conversation {
        &mut self.0
    }
}

/// The statements of a transaction.
#[derive(Debug)]
pub(super) struct Conversation {
    transaction: Transaction<'static, Database>,
    is_direct: bool,
    directness: Arc<Directness>,
    patience: Duration,
}

impl<'c> Executor<'c> for &'c mut Conversation {
    type Database = Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        let all = async move {
            let Conversation { transaction, is_direct, directness, patience } = self;
            let connection = &mut **transaction;
            let asked = match is_direct {
                true => connection.fetch_many(query),
                false => connection.fetch_many(Unnamed(query)),
            };
            let all: Vec<_> =
                timeout(*patience, asked.try_collect()).await.unwrap_or_else(|_| Err(directness.doubt()))?;
            Ok::<_, Error>(stream::iter(all).map(Ok))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        async move {
            let Conversation { transaction, is_direct, directness, patience } = self;
            let connection = &mut **transaction;
            let asked = match is_direct {
                true => connection.fetch_optional(query),
                false => connection.fetch_optional(Unnamed(query)),
            };
            timeout(*patience, asked).await.unwrap_or_else(|_| Err(directness.doubt()))
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        (&mut *self.transaction).prepare_with(sql, parameters)
    }
}

/// A query whose statement has no name.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Database>> Execute<'q, Database> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
