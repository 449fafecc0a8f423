//! Whole tables as plain values.

use async_trait::async_trait;
use sqlx::Row as _;

use super::dialect::{
    AFTER_FILLING, AFTER_MARKING, BEFORE_FILLING, BEGIN_READING, Backend, Row, Writing, refuse_writes,
};
use super::statements::Query;
use crate::store::tables::{self, Filling, Kind, Moved, Reading, TABLES, Table, Value, WholeStore};
use crate::store::{Result, StoreError};

/// Number of rows read at once.
const PAGE: i64 = 1000;
/// A version number above all others, so that even a program that knows nothing of moving refuses the store.
pub(super) const MOVED: i64 = 9_000_000_000;

#[async_trait]
impl WholeStore for Backend {
    async fn read(&self) -> Result<Box<dyn Reading>> {
        Ok(Box::new(Open(self.pool()?.begin_with(BEGIN_READING).await?)))
    }

    async fn fill(&self) -> Result<Box<dyn Filling>> {
        let mut transaction = self.write().await?;
        for table in TABLES {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", table.name);
            let found = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_optional(&mut *transaction).await?;
            if found.is_some() {
                return Err(StoreError::Unusable(format!(
                    "{} is not empty, and a store is moved into an empty one only",
                    self.place()
                )));
            }
        }
        for sql in BEFORE_FILLING {
            sqlx::query(*sql).execute(&mut *transaction).await?;
        }
        Ok(Box::new(Open(transaction)))
    }

    async fn mark_moved(&self, to: &str, seen: &Moved) -> Result<()> {
        let mut open = Open(self.write().await?);
        // Writes are refused first, so that the count below includes the last write.
        for sql in refuse_writes(to) {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *open.0).await?;
        }
        if self.is_in_use().await? || tables::count_in(&mut open).await? != *seen {
            let why = "the store was used while it was copied, and stays in force; stop everything that uses it, empty \
                 the new one and try again";
            return Err(StoreError::Unusable(why.to_owned()));
        }
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES ($1, $2, true, $3, 0)";
        let query = sqlx::query(sql).bind(MOVED).bind(to).bind(Vec::<u8>::new());
        query.execute(&mut *open.0).await?;
        let pool = self.pool()?;
        open.0.commit().await?;
        for sql in AFTER_MARKING {
            // The store is moved already, so that a failure must not look like one of the move.
            if let Err(error) = sqlx::query(*sql).execute(&pool).await {
                tracing::debug!("the log of the moved store stays beside it: {error}");
            }
        }
        Ok(())
    }

    async fn is_in_use(&self) -> Result<bool> {
        self.any_holder_lives().await
    }

    fn place(&self) -> String {
        self.shown_place()
    }
}

/// A store that is being read or filled, in one transaction.
struct Open(Writing);

#[async_trait]
impl Reading for Open {
    async fn rows_after(&mut self, table: &Table, last: Option<&[Value]>) -> Result<Vec<Vec<Value>>> {
        let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (one, two) = (&names[0], &names[1]);
        let after = match last {
            Some(_) => format!("WHERE {one} > $1 OR ({one} = $1 AND {two} > $2) "),
            None => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} {after}ORDER BY {one}, {two} LIMIT {PAGE}",
            names.join(", "),
            table.name
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in last.into_iter().flat_map(|row| row.iter().take(2)) {
            query = bind(query, value);
        }
        let rows = query.fetch_all(&mut *self.0).await?;
        rows.iter().map(|row| values(table, row)).collect()
    }
}

#[async_trait]
impl Filling for Open {
    async fn add(&mut self, table: &Table, row: &[Value]) -> Result<()> {
        let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let places: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
        let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places.join(", "));
        let query = row.iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), bind);
        query.execute(&mut *self.0).await?;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut transaction = self.0;
        for sql in AFTER_FILLING {
            sqlx::query(*sql).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn bind<'q>(query: Query<'q>, value: &Value) -> Query<'q> {
    match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Number(number) => query.bind(*number),
        Value::Bytes(bytes) => query.bind(bytes.clone()),
        Value::Flag(flag) => query.bind(*flag),
    }
}

fn values(table: &Table, row: &Row) -> Result<Vec<Value>> {
    let value = |(number, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Text => Value::Text(row.try_get(number)?),
            Kind::Number => Value::Number(row.try_get(number)?),
            Kind::Bytes => Value::Bytes(row.try_get(number)?),
            Kind::Flag => Value::Flag(row.try_get(number)?),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}
