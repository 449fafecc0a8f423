//! The lease to refresh a grant, which one process has at a time, by the clock of the database.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Postgres;
use crate::store::{DEAD_AFTER, Id, LeaseStore, Leased, StoreError, Takeover};

/// The lease's holder looks dead where a sign of life counts for so many seconds.
macro_rules! DEAD {
    ($seconds:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM holders WHERE name = lease_holder \
             AND seen > clock_timestamp() - ",
            $seconds,
            " * interval '1 second')"
        )
    };
}
/// Whether the lease of a dead holder may be taken now: always ($6), or once the access token is over.
macro_rules! NOTHING_TO_WAIT_FOR {
    () => {
        "($6 OR access_expires_at IS NULL OR access_expires_at <= extract(epoch FROM clock_timestamp()) + 60)"
    };
}

/// With a sign of life, because the clock that dates the last one stands still while a machine sleeps. Another holder in the
/// row died before it stored the end of its refresh. An access token with less than a minute left counts as over.
const TAKE: &str = concat!(
    "WITH beat AS (INSERT INTO holders (name, seen) VALUES ($1, clock_timestamp()) \
     ON CONFLICT (name) DO UPDATE SET seen = excluded.seen), \
     taken AS (UPDATE grants SET interrupted_at = \
     CASE WHEN lease_holder IS NOT NULL AND lease_holder <> $1 THEN lease_taken_at ELSE interrupted_at END, \
     lease_holder = $1, lease_taken_at = $2, \
     lease_until = floor(extract(epoch FROM clock_timestamp()))::bigint + $3 \
     WHERE id = $4 AND (lease_holder IS NULL OR lease_holder = $1 \
     OR lease_until IS NULL OR lease_until <= extract(epoch FROM clock_timestamp()) OR (",
    DEAD!("$5"),
    " AND ",
    NOTHING_TO_WAIT_FOR!(),
    ")) RETURNING 1) SELECT EXISTS (SELECT 1 FROM taken) AS taken, \
     EXISTS (SELECT 1 FROM grants WHERE id = $4 AND lease_holder <> $1 AND ",
    DEAD!("$7"),
    " AND NOT ",
    NOTHING_TO_WAIT_FOR!(),
    ") AS silent"
);

#[async_trait]
impl LeaseStore for Postgres {
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
        takeover: Takeover,
    ) -> Result<Leased, StoreError> {
        let pool = self.pool()?;
        let holder = self.holder.own().await?;
        let sent = Instant::now();
        let done = sqlx::query(TAKE)
            .bind(&holder)
            .bind(now.unix_timestamp())
            .bind((until - now).whole_seconds())
            .bind(&grant.0)
            .bind(self.holder.dead_after())
            .bind(takeover == Takeover::AtOnce)
            .bind(DEAD_AFTER)
            .fetch_one(&pool)
            .await?;
        self.holder.gave_sign(sent);
        Ok(match (done.try_get("taken")?, done.try_get("silent")?) {
            (true, _) => Leased::Taken,
            (false, true) => Leased::Silent,
            (false, false) => Leased::Busy,
        })
    }

    async fn holder(&self) -> Result<String, StoreError> {
        self.holder.own().await
    }

    async fn release_lease(&self, grant: &Id) -> Result<(), StoreError> {
        let sql =
            "UPDATE grants SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2";
        sqlx::query(sql).bind(&grant.0).bind(self.holder.known()).execute(&self.pool()?).await?;
        Ok(())
    }
}
