//! The lease to refresh a grant, which one process has at a time, by the clock of the database.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Postgres;
use crate::store::{DEAD_AFTER, Id, LeaseStore, Leased, Result, Takeover};

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

/// The statement is executed in time: $8.
macro_rules! IN_TIME {
    () => {
        "extract(epoch FROM clock_timestamp()) * 1000000 < $8"
    };
}

/// With a sign of life, because the clock that dates the last one stands still while a machine sleeps. Another holder in the
/// row died before it stored the end of its refresh. An access token with less than a minute left counts as over. A lease
/// that is over may be a living holder's after an outage; such a holder takes it again once it reaches the database ($9). A
/// taking that comes late keeps the mark of a later one of the same holder, so that its own release frees nothing.
const TAKE: &str = concat!(
    "WITH beat AS (INSERT INTO holders (name, seen) SELECT $1, clock_timestamp() WHERE ",
    IN_TIME!(),
    " ON CONFLICT (name) DO UPDATE SET seen = excluded.seen \
     RETURNING (extract(epoch FROM seen) * 1000000)::bigint AS seen), \
     taken AS (UPDATE grants SET interrupted_at = \
     CASE WHEN lease_holder IS NOT NULL AND lease_holder <> $1 THEN lease_taken_at ELSE interrupted_at END, \
     lease_holder = $1, \
     lease_taken_at = CASE WHEN lease_holder = $1 THEN greatest($2, lease_taken_at) ELSE $2 END, \
     lease_until = floor(extract(epoch FROM clock_timestamp()))::bigint + $3 \
     WHERE id = $4 AND ",
    IN_TIME!(),
    " AND (lease_holder IS NULL OR lease_holder = $1 OR lease_until IS NULL OR (",
    NOTHING_TO_WAIT_FOR!(),
    " AND (($9 AND lease_until <= extract(epoch FROM clock_timestamp())) OR ",
    DEAD!("$5"),
    "))) RETURNING 1) SELECT EXISTS (SELECT 1 FROM taken) AS taken, (SELECT seen FROM beat) AS seen, \
     EXISTS (SELECT 1 FROM grants WHERE id = $4 AND lease_holder <> $1 AND (",
    DEAD!("$7"),
    " OR lease_until <= extract(epoch FROM clock_timestamp())) AND NOT ",
    NOTHING_TO_WAIT_FOR!(),
    ") AS silent"
);

/// Frees a lease of the holder $2 that was taken up to the mark $3.
const RELEASE: &str = "UPDATE grants SET lease_holder = NULL, lease_until = NULL \
     WHERE id = $1 AND lease_holder = $2 AND lease_taken_at <= $3";

impl Postgres {
    async fn ask_for_lease(
        &self,
        grant: &Id,
        (mark, seconds): (i64, i64),
        takeover: Takeover,
    ) -> Result<Leased> {
        let holder = self.holder.own().await?;
        let (pool, sent, belief) = (self.vital()?, Instant::now(), self.holder.belief());
        let query = sqlx::query(TAKE).bind(&holder).bind(mark).bind(seconds).bind(&grant.0);
        let query = query.bind(belief.dead_after).bind(takeover == Takeover::AtOnce).bind(DEAD_AFTER);
        let query = query.bind(belief.take_until).bind(belief.is_in_contact);
        let done = query.fetch_one(&pool).await?;
        let Some(seen) = done.try_get("seen")? else {
            // It came late, or the clock of the database has jumped: the next sign tells.
            self.holder.beat(&holder).await?;
            return Ok(Leased::Busy);
        };
        self.holder.gave_sign(sent, seen);
        Ok(match (done.try_get("taken")?, done.try_get("silent")?) {
            (true, _) => Leased::Taken,
            (false, true) => Leased::Silent,
            (false, false) => Leased::Busy,
        })
    }
}

#[async_trait]
impl LeaseStore for Postgres {
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
        takeover: Takeover,
    ) -> Result<Leased> {
        self.vital()?;
        let mark = self.holder.marks(|marks| marks.begin(grant, now.unix_timestamp(), Instant::now()));
        let asked = self.ask_for_lease(grant, (mark, (until - now).whole_seconds()), takeover).await;
        self.holder.marks(|marks| match &asked {
            Ok(Leased::Taken) => {}
            Ok(Leased::Busy | Leased::Silent) => marks.ended(grant),
            Err(_) => marks.gave_up(grant, mark, Instant::now()),
        });
        asked
    }

    async fn holder(&self) -> Result<String> {
        self.holder.own().await
    }

    async fn release_lease(&self, grant: &Id) -> Result<()> {
        // Without a mark this process has not asked for it.
        let Some(mark) = self.holder.marks(|marks| marks.of(grant)) else { return Ok(()) };
        let pool = self.vital()?;
        sqlx::query(RELEASE).bind(&grant.0).bind(self.holder.known()).bind(mark).execute(&pool).await?;
        self.holder.marks(|marks| marks.ended(grant));
        Ok(())
    }
}
