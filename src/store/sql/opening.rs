//! The first look at a database that is to be opened.

use sqlx::Row as _;

use super::dialect::{HAS_TABLES, Pool};
use super::settings::sealed;
use super::whole::MOVED;
use crate::store::migrating::Found;
use crate::store::{Result, StoreError};

/// What the database holds, which is nothing if it is empty. A store that was moved is refused.
pub(in crate::store) async fn found(pool: &Pool) -> Result<Found> {
    if !sqlx::query_scalar::<_, bool>(HAS_TABLES).fetch_one(pool).await? {
        return Ok(Found::default());
    }
    let sql = "SELECT description FROM _sqlx_migrations WHERE version = $1";
    if let Some(row) = sqlx::query(sql).bind(MOVED).fetch_optional(pool).await? {
        let to: String = row.try_get(0)?;
        return Err(StoreError::Unusable(format!("it was moved to {to}; name that place in store.url")));
    }
    let sql = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    let made: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(Found { sealed: sealed(pool).await?, made: usize::try_from(made).unwrap_or(0) })
}
