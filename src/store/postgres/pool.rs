//! Statements, also through a pooler that gives each transaction another connection of the server.
//!
//! sqlx prepares a statement under a name and uses the name again. Behind a pooler in transaction mode the name may
//! belong to another client's statement, and what is set for a session counts for other clients. So until the
//! database has proven that it hears this process by `LISTEN`, which no such pooler passes on, each statement has no
//! name and a transaction around it, and deadlines are set for the transaction. That costs three round trips more.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres as Database, SqlStr, Transaction};

/// A transaction's own deadline, where the session has none.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 10000";

/// Whether connections are the server's own.
#[derive(Debug, Default)]
pub(super) struct Directness(OnceLock<Instant>);

impl Directness {
    /// The server itself is at the other end, or a pooler that keeps a connection for a session.
    pub(super) fn prove(&self) {
        self.0.get_or_init(Instant::now);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether it was proven after `moment`.
    pub(super) fn is_proven_after(&self, moment: Instant) -> bool {
        self.0.get().is_some_and(|proven| *proven > moment)
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

    pub(super) async fn begin(&self) -> Result<Writing, Error> {
        match self.directness.is_proven() {
            true => self.begin_with("BEGIN").await,
            false => self.begin_with(BEGIN).await,
        }
    }

    pub(super) async fn begin_with(&self, begin: &'static str) -> Result<Writing, Error> {
        // Read before, so that a transaction without a deadline uses no statement with a name.
        let is_direct = self.directness.is_proven();
        let transaction = self.pool.begin_with(begin).await?;
        Ok(Writing(Conversation { transaction, is_direct }))
    }
}

impl<'c> Executor<'c> for &'_ Pool {
    type Database = Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        if self.directness.is_proven() {
            return self.pool.fetch_many(query);
        }
        let pool = self.clone();
        let all = async move {
            let mut transaction = pool.begin().await?;
            let all: Vec<_> = transaction.fetch_many(query).try_collect().await?;
            transaction.commit().await?;
            Ok::<_, Error>(stream::iter(all).map(Ok))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        if self.directness.is_proven() {
            return self.pool.fetch_optional(query);
        }
        let pool = self.clone();
        async move {
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
    pub(super) async fn commit(self) -> Result<(), Error> {
        self.0.transaction.commit().await
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
}

impl<'c> Executor<'c> for &'c mut Conversation {
    type Database = Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        match self.is_direct {
            true => (&mut *self.transaction).fetch_many(query),
            false => (&mut *self.transaction).fetch_many(Unnamed(query)),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        match self.is_direct {
            true => (&mut *self.transaction).fetch_optional(query),
            false => (&mut *self.transaction).fetch_optional(Unnamed(query)),
        }
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
