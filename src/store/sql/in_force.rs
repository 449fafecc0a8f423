//! The app passwords that may have sessions.

use std::collections::HashSet;

use sqlx::Row as _;
use time::Date;

use super::dialect::{LISTED, Pool};
use super::limits::day_column;
use crate::store::{Id, Result, StoreError};

/// Number of passwords asked for at once.
const AT_ONCE: usize = 2000;

/// The app passwords among `of` that are in force on `today`. Only the rows of `of` are read, because an installation
/// with many accounts has few sessions at one instance.
pub(in crate::store) async fn in_force(pool: &Pool, of: &HashSet<Id>, today: Date) -> Result<HashSet<Id>> {
    let sql = concat!(
        "SELECT p.id FROM passwords p JOIN accounts a ON a.id = p.account_id \
         JOIN grants g ON g.id = a.grant_id WHERE g.in_force AND NOT a.disabled \
         AND (p.last_day IS NULL OR p.last_day >= $1) AND p.id IN (",
        LISTED!("$2"),
        ")"
    );
    let (of, mut in_force): (Vec<&str>, _) = (of.iter().map(|id| id.0.as_str()).collect(), HashSet::new());
    for part in of.chunks(AT_ONCE) {
        let part = serde_json::to_string(part).map_err(|error| StoreError::Failed(error.into()))?;
        for row in sqlx::query(sql).bind(day_column(today)).bind(part).fetch_all(pool).await? {
            in_force.insert(Id(row.try_get(0)?));
        }
    }
    Ok(in_force)
}
