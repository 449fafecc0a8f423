//! How a store runs a statement that changes rows.

use super::dialect::{Arguments, Backend, Driver};
use super::trail::commit_with;
use crate::store::{Act, Result};

/// A statement with its values.
pub(super) type Query<'q> = sqlx::query::Query<'q, Driver, Arguments>;

impl Backend {
    /// Runs one statement; returns the number of rows that it has changed.
    pub(in crate::store) async fn run(&self, query: Query<'_>) -> Result<u64> {
        Ok(query.execute(&self.pool()?).await?.rows_affected())
    }

    /// Runs one statement, and writes `act` with it if a row changes; returns whether one does.
    pub(super) async fn change(&self, query: Query<'_>, act: &Act) -> Result<bool> {
        let mut transaction = self.write().await?;
        let done = query.execute(&mut *transaction).await?;
        commit_with(transaction, done.rows_affected() == 1, act).await
    }
}
