//! The app passwords that may have sessions.

use std::collections::HashSet;

use sqlx::Row as _;
use time::Date;

use super::dialect::Pool;
use super::limits::day_column;
use crate::store::{Id, StoreError};

/// Number of rows read at once.
const PAGE: i64 = 2000;

/// The app passwords in force on `today`.
pub(super) async fn in_force(pool: &Pool, today: Date) -> Result<HashSet<Id>, StoreError> {
    let sql = "SELECT p.id FROM passwords p JOIN accounts a ON a.id = p.account_id \
         JOIN grants g ON g.id = a.grant_id WHERE g.in_force AND NOT a.disabled \
         AND (p.last_day IS NULL OR p.last_day >= $1) AND p.id > $2 ORDER BY p.id LIMIT $3";
    let (mut in_force, mut last) = (HashSet::new(), String::new());
    loop {
        // Page by page, because rows in memory take several times their size.
        let rows = sqlx::query(sql).bind(day_column(today)).bind(&last).bind(PAGE).fetch_all(pool).await?;
        let Some(end) = rows.last() else { return Ok(in_force) };
        last = end.try_get(0)?;
        for row in &rows {
            in_force.insert(Id(row.try_get(0)?));
        }
    }
}
