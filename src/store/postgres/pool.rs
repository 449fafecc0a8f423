//! Statements, also through a pooler that gives each transaction another connection of the server.
//!
//! sqlx prepares a statement under a name and uses the name again. Behind a pooler in transaction mode the name may
//! belong to another client's statement, and settings of a session apply to other clients. So until the database has
//! proven that it hears this process by `LISTEN`, which no such pooler passes on, each statement has no name and a
//! transaction around it, and deadlines are set for the transaction. That costs three round trips more.
//!
//! The server's deadlines do not help if the server vanishes, so each statement has a deadline in this process, too.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres as Database, SqlStr};
use tokio::time::timeout;

use super::server::Server;
use super::slots::{Lent, Slots};

/// A transaction's own deadlines, where the session has none.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 10000; \
     SET LOCAL idle_in_transaction_session_timeout = 10000";
/// Longer than the server's own deadline, which comes first where the server lives.
const PATIENCE: Duration = Duration::from_secs(12);

/// Connections for single statements and transactions.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    slots: Arc<Slots>,
}

impl Pool {
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        Self { slots }
    }

    /// The number of its own connections to the same server.
    pub(super) fn beside(&self, number: usize) -> Self {
        Self::new(Slots::new(self.connect_options(), number, self.slots.server.clone()))
    }

    /// A connection that is idle at this moment, as it is.
    pub(super) fn try_acquire(&self) -> Option<Lent> {
        self.slots.try_acquire()
    }

    pub(super) fn server(&self) -> &Server {
        &self.slots.server
    }

    pub(super) fn connect_options(&self) -> PgConnectOptions {
        self.slots.options.clone()
    }

    /// A transaction.
    pub(super) async fn begin(&self) -> Result<Writing, Error> {
        match self.server().is_proven() {
            true => self.begin_with("BEGIN").await,
            false => self.begin_with(BEGIN).await,
        }
    }

    pub(super) async fn begin_with(&self, begin: &'static str) -> Result<Writing, Error> {
        // Read before, so that a transaction without a deadline uses no statement with a name.
        let is_direct = self.server().is_proven();
        let lent = self.slots.acquire().await?;
        // First, so that a caller who is gone before the answer leaves no open transaction.
        let mut conversation = Conversation { lent, is_direct, is_over: false };
        let answered = timeout(PATIENCE, conversation.lent.ask()?.execute(begin)).await;
        conversation.lent.judge(answered)?;
        Ok(Writing(conversation))
    }

    /// For a single statement, which needs a transaction around it where the server is not proven. [`Writing::commit`] ends
    /// it.
    async fn single(&self) -> Result<Writing, Error> {
        match self.server().is_proven() {
            true => {
                let lent = self.slots.acquire().await?;
                Ok(Writing(Conversation { lent, is_direct: true, is_over: true }))
            }
            false => self.begin_with(BEGIN).await,
        }
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
            let mut one = pool.single().await?;
            let all = one.all(query).await?;
            one.commit().await?;
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
            let mut one = pool.single().await?;
            let row = one.one(query).await?;
            one.commit().await?;
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
        let pool = self.clone();
        async move {
            let mut one = pool.slots.acquire().await?;
            let answered = timeout(PATIENCE, one.ask()?.prepare_with(sql, parameters)).await;
            one.judge(answered)
        }
        .boxed()
    }
}

/// A transaction, which is rolled back when it is dropped without a commit, or a connection for one statement.
pub(super) struct Writing(Conversation);

impl Writing {
    pub(super) async fn commit(self) -> Result<(), Error> {
        let mut conversation = self.0;
        if conversation.is_over {
            return Ok(());
        }
        let answered = timeout(PATIENCE, conversation.lent.ask()?.execute("COMMIT")).await;
        conversation.lent.judge(answered)?;
        conversation.is_over = true;
        Ok(())
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

/// The statements of a transaction, or one statement.
pub(super) struct Conversation {
    lent: Lent,
    is_direct: bool,
    /// Whether it was committed, or is no transaction.
    is_over: bool,
}

impl Conversation {
    async fn all<'q>(
        &mut self,
        query: impl Execute<'q, Database> + 'q,
    ) -> Result<Vec<Either<PgQueryResult, PgRow>>, Error> {
        let connection = self.lent.ask()?;
        let asked = match self.is_direct {
            true => connection.fetch_many(query),
            false => connection.fetch_many(Unnamed(query)),
        };
        let answered = timeout(PATIENCE, asked.try_collect()).await;
        self.lent.judge(answered)
    }

    async fn one<'q>(&mut self, query: impl Execute<'q, Database> + 'q) -> Result<Option<PgRow>, Error> {
        let connection = self.lent.ask()?;
        let asked = match self.is_direct {
            true => connection.fetch_optional(query),
            false => connection.fetch_optional(Unnamed(query)),
        };
        let answered = timeout(PATIENCE, asked).await;
        self.lent.judge(answered)
    }

    async fn prepared(&mut self, sql: SqlStr, parameters: &[PgTypeInfo]) -> Result<PgStatement, Error> {
        let answered = timeout(PATIENCE, self.lent.ask()?.prepare_with(sql, parameters)).await;
        self.lent.judge(answered)
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if !self.is_over {
            self.lent.roll_back();
        }
    }
}

impl<'c> Executor<'c> for &'c mut Conversation {
    type Database = Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        let all = async move { Ok::<_, Error>(stream::iter(self.all(query).await?).map(Ok)) };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Database>,
    {
        self.one(query).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.prepared(sql, parameters).boxed()
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
