//! The buckets of failed logins that all instances charge.
//!
//! The row of a bucket holds the moment when the bucket is full again, by the clock of the database. Charges of several
//! instances add up in any order. If two instances charge a bucket before they know of each other's charges, the sum
//! may exceed the burst; the excess makes the next wait longer.

use sqlx::Row as _;

use super::Postgres;
use super::instances::XACT;
use super::news::{CHANNEL, OF_INSTANCES};
use crate::store::{Owed, StoreError};

/// Adds all charges in one statement. Two instances that charge the same buckets at once may wait for each other's
/// rows; then the server ends one of the two statements, and that instance writes its charges again a second later.
const ADD: &str = concat!(
    "WITH told AS (SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS t (tier, bucket, millis)), \
     taken AS (UPDATE failed_logins f SET changed = ",
    XACT!(),
    ", full_at = greatest(f.full_at + t.millis * interval '1 millisecond', now()) \
       FROM told t WHERE t.millis < 0 AND f.tier = t.tier AND f.bucket = t.bucket AND f.full_at > now()), \
     added AS (INSERT INTO failed_logins AS f (tier, bucket, full_at, changed) \
       SELECT tier, bucket, now() + millis * interval '1 millisecond', ",
    XACT!(),
    " FROM told WHERE millis > 0 \
       ON CONFLICT (tier, bucket) DO UPDATE SET changed = excluded.changed, \
         full_at = greatest(f.full_at, now()) + (excluded.full_at - now())) \
     SELECT pg_notify($4, $5)"
);

impl Postgres {
    pub(super) async fn add_owed(&self, owed: &[Owed]) -> Result<(), StoreError> {
        let mut owed = owed.to_vec();
        owed.sort_unstable();
        let tiers: Vec<i16> = owed.iter().map(|owed| owed.tier).collect();
        let buckets: Vec<i64> = owed.iter().map(|owed| owed.bucket).collect();
        let millis: Vec<i64> = owed.iter().map(|owed| owed.millis).collect();
        let query = sqlx::query(ADD).bind(tiers).bind(buckets).bind(millis);
        query.bind(CHANNEL).bind(OF_INSTANCES).execute(&self.pool()?).await?;
        Ok(())
    }

    pub(super) async fn changed_owed(&self, mark: i64) -> Result<Vec<Owed>, StoreError> {
        let sql = "SELECT tier, bucket, \
             floor(extract(epoch FROM full_at - clock_timestamp()) * 1000)::bigint AS millis \
             FROM failed_logins WHERE changed >= $1";
        let rows = sqlx::query(sql).bind(mark).fetch_all(&self.pool()?).await?;
        let owed = |row: &sqlx::postgres::PgRow| {
            Ok(Owed {
                tier: row.try_get("tier")?,
                bucket: row.try_get("bucket")?,
                millis: row.try_get("millis")?,
            })
        };
        rows.iter().map(owed).collect()
    }

    /// Removes full buckets, but only after a minute, so that the other instances see charges that were taken back.
    pub(super) async fn forget_paid(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM failed_logins WHERE full_at < now() - interval '1 minute'";
        sqlx::query(sql).execute(&self.pool()?).await?;
        Ok(())
    }
}
