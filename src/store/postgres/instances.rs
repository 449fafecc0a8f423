//! The instances on this database: the look at their changes, the connections that they hold, the buckets of failed logins
//! that all of them charge, and the questions to all of them.
//!
//! A look at a database without changes is one statement. A look reads the rows of all transactions that were not over
//! at the previous look: the numbers of these transactions are at least the mark. Some rows are read twice that way,
//! which changes nothing.
//!
//! The row of a bucket holds the moment when the bucket is full again, by the clock of the database. Charges of several
//! instances add up in any order. If two instances charge a bucket before they know of each other's charges, the sum
//! may exceed the burst; the excess makes the next wait longer.

use async_trait::async_trait;
use sqlx::Row as _;

use super::Postgres;
use super::news::{CHANNEL, OF_INSTANCES};
use crate::store::{
    DEAD_AFTER, GateCount, Instance, InstanceAnswer, InstanceStore, Look, Owed, Question, Result,
};

/// The instances whose last sign of life is at most $2 seconds old.
macro_rules! LIVING {
    () => {
        "(SELECT i.holder, i.place FROM instances i JOIN holders h ON h.name = i.holder \
          WHERE h.seen > clock_timestamp() - $2 * interval '1 second')"
    };
}
/// The number of this transaction.
macro_rules! XACT {
    () => {
        "pg_current_xact_id()::text::bigint"
    };
}

/// One row for each living instance, this one included, or one row without any.
const LOOK: &str = concat!(
    "SELECT living.holder, living.place, found.* FROM (SELECT \
     pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS mark, \
     (SELECT coalesce(max(changed), 0) FROM gate_counts) AS gates, \
     (SELECT coalesce(max(changed), 0) FROM failed_logins) AS owed, \
     EXISTS (SELECT 1 FROM instance_questions q WHERE q.until > clock_timestamp() AND NOT EXISTS \
       (SELECT 1 FROM instance_answers a WHERE a.question = q.id AND a.holder = $1)) AS asked) AS found \
     LEFT JOIN ",
    LIVING!(),
    " AS living ON TRUE"
);
const OTHERS: &str =
    concat!("SELECT holder, place FROM ", LIVING!(), " AS living WHERE holder <> $1 ORDER BY place");

/// What has changed since a mark.
const CHANGED_GATES: &str =
    "SELECT holder, account, door, sessions FROM gate_counts WHERE changed >= $1 AND holder <> $2";
const CHANGED_OWED: &str = "SELECT tier, bucket, \
     floor(extract(epoch FROM full_at - clock_timestamp()) * 1000)::bigint AS millis \
     FROM failed_logins WHERE changed >= $1";
/// The questions that are not over and that the instance $1 has not answered.
const OPEN_QUESTIONS: &str = "SELECT id, sealed FROM instance_questions q WHERE until > clock_timestamp() AND NOT EXISTS \
     (SELECT 1 FROM instance_answers a WHERE a.question = q.id AND a.holder = $1)";

const TELL_GATES: &str = concat!(
    "WITH told AS (SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[]) AS t (account, door, sessions)), \
     swept AS (DELETE FROM gate_counts g WHERE g.holder = $1 AND g.sessions = 0 AND g.at < now() - interval '1 minute' \
       AND NOT EXISTS (SELECT 1 FROM told t WHERE t.account = g.account AND t.door = g.door)), \
     ended AS (UPDATE gate_counts g SET sessions = 0, at = now(), changed = ",
    XACT!(),
    " WHERE $5 AND g.holder = $1 AND g.sessions > 0 \
       AND NOT EXISTS (SELECT 1 FROM told t WHERE t.account = g.account AND t.door = g.door)), \
     held AS (INSERT INTO gate_counts (holder, account, door, sessions, at, changed) \
       SELECT $1, t.account, t.door, t.sessions, now(), ",
    XACT!(),
    " FROM told t WHERE t.sessions > 0 OR EXISTS (SELECT 1 FROM gate_counts g \
         WHERE g.holder = $1 AND g.account = t.account AND g.door = t.door) \
       ON CONFLICT (holder, account, door) DO UPDATE SET \
         sessions = excluded.sessions, at = excluded.at, changed = excluded.changed) \
     SELECT pg_notify($6, $7)"
);

/// Adds all charges in one statement. Two instances that charge the same buckets at once may wait for each other's
/// rows; then the server ends one of the two statements, and that instance writes its charges again a second later.
const TELL_OWED: &str = concat!(
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

#[async_trait]
impl InstanceStore for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    async fn join(&self, place: &str) -> Result<()> {
        let own = self.holder.own().await?;
        let sql = "WITH joined AS (INSERT INTO instances (holder, place) VALUES ($1, $2) \
             ON CONFLICT (holder) DO UPDATE SET place = excluded.place) SELECT pg_notify($3, $4)";
        self.run(sqlx::query(sql).bind(own).bind(place).bind(CHANNEL).bind(OF_INSTANCES)).await.map(drop)
    }

    async fn part(&self) -> Result<()> {
        let sql = "WITH gone AS (DELETE FROM instances WHERE holder = $1) SELECT pg_notify($2, $3)";
        self.run(sqlx::query(sql).bind(self.holder.known()).bind(CHANNEL).bind(OF_INSTANCES)).await.map(drop)
    }

    async fn others(&self) -> Result<Vec<Instance>> {
        let own = self.holder.known().unwrap_or_default();
        let query = sqlx::query_as(OTHERS).bind(own).bind(DEAD_AFTER);
        let rows: Vec<(String, String)> = query.fetch_all(&self.pool()?).await?;
        Ok(rows.into_iter().map(|(holder, place)| Instance { holder, place }).collect())
    }

    async fn look_around(&self, mark: i64) -> Result<Look> {
        let own = self.holder.own().await?;
        let rows = sqlx::query(LOOK).bind(&own).bind(DEAD_AFTER).fetch_all(&self.pool()?).await?;
        let mut look = Look::default();
        let Some(first) = rows.first() else { return Ok(look) };
        look.mark = first.try_get("mark")?;
        for row in &rows {
            match row.try_get::<Option<String>, _>("holder")? {
                Some(holder) if holder == own => look.is_joined = true,
                Some(holder) => look.others.push(Instance { holder, place: row.try_get("place")? }),
                None => {}
            }
        }
        if first.try_get::<i64, _>("gates")? >= mark {
            let query = sqlx::query_as(CHANGED_GATES).bind(mark).bind(&own);
            let rows: Vec<(String, String, String, i64)> = query.fetch_all(&self.pool()?).await?;
            look.gates = rows.into_iter().map(gate_count).collect();
        }
        if first.try_get::<i64, _>("owed")? >= mark {
            let query = sqlx::query_as(CHANGED_OWED).bind(mark);
            let rows: Vec<(i16, i64, i64)> = query.fetch_all(&self.pool()?).await?;
            look.owed =
                rows.into_iter().map(|(tier, bucket, millis)| Owed { tier, bucket, millis }).collect();
        }
        if first.try_get("asked")? {
            let query = sqlx::query_as(OPEN_QUESTIONS).bind(&own);
            let rows: Vec<(String, Vec<u8>)> = query.fetch_all(&self.pool()?).await?;
            look.questions = rows.into_iter().map(|(id, sealed)| Question { id, sealed }).collect();
        }
        Ok(look)
    }

    async fn told(&self) {
        self.news.told().await;
    }

    async fn tell_gates(&self, held: &[GateCount], whole: bool) -> Result<()> {
        let accounts: Vec<&str> = held.iter().map(|held| held.account.as_str()).collect();
        let doors: Vec<&str> = held.iter().map(|held| held.door.as_str()).collect();
        let sessions: Vec<i64> = held.iter().map(|held| held.sessions.into()).collect();
        let own = self.holder.own().await?;
        let query = sqlx::query(TELL_GATES).bind(own).bind(accounts).bind(doors).bind(sessions).bind(whole);
        self.run(query.bind(CHANNEL).bind(OF_INSTANCES)).await.map(drop)
    }

    async fn tell_owed(&self, owed: &[Owed]) -> Result<()> {
        let mut owed = owed.to_vec();
        owed.sort_unstable();
        let tiers: Vec<i16> = owed.iter().map(|owed| owed.tier).collect();
        let buckets: Vec<i64> = owed.iter().map(|owed| owed.bucket).collect();
        let millis: Vec<i64> = owed.iter().map(|owed| owed.millis).collect();
        let query = sqlx::query(TELL_OWED).bind(tiers).bind(buckets).bind(millis);
        self.run(query.bind(CHANNEL).bind(OF_INSTANCES)).await.map(drop)
    }

    async fn sweep(&self) -> Result<()> {
        // Full buckets stay for a minute, so that the other instances see charges that were taken back.
        self.run(sqlx::query("DELETE FROM failed_logins WHERE full_at < now() - interval '1 minute'"))
            .await?;
        // Questions of commands that ended before they removed them.
        let over = sqlx::query("DELETE FROM instance_questions WHERE until < clock_timestamp()");
        self.run(over).await.map(drop)
    }

    async fn ask(&self, question: &Question, seconds: u32) -> Result<()> {
        let sql = "WITH asked AS (INSERT INTO instance_questions (id, sealed, until) \
             VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')) SELECT pg_notify($4, $5)";
        let query = sqlx::query(sql).bind(&question.id).bind(&question.sealed).bind(i64::from(seconds));
        self.run(query.bind(CHANNEL).bind(OF_INSTANCES)).await.map(drop)
    }

    async fn answer(&self, question: &str, sealed: &[u8]) -> Result<()> {
        let own = self.holder.own().await?;
        // The lock keeps the question from being removed before the answer is stored; both are then removed together.
        let sql = "INSERT INTO instance_answers (question, holder, sealed) \
             SELECT id, $2, $3 FROM instance_questions WHERE id = $1 FOR KEY SHARE ON CONFLICT DO NOTHING";
        self.run(sqlx::query(sql).bind(question).bind(own).bind(sealed)).await.map(drop)
    }

    async fn answers(&self, question: &str) -> Result<Vec<InstanceAnswer>> {
        let sql = "SELECT holder, sealed FROM instance_answers WHERE question = $1";
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as(sql).bind(question).fetch_all(&self.pool()?).await?;
        Ok(rows.into_iter().map(|(holder, sealed)| InstanceAnswer { holder, sealed }).collect())
    }

    async fn count_answers(&self, question: &str) -> Result<usize> {
        let sql = "SELECT count(*) FROM instance_answers WHERE question = $1";
        let number: i64 = sqlx::query_scalar(sql).bind(question).fetch_one(&self.pool()?).await?;
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    async fn withdraw(&self, question: &str) -> Result<()> {
        // Its answers go with it.
        self.run(sqlx::query("DELETE FROM instance_questions WHERE id = $1").bind(question)).await.map(drop)
    }
}

fn gate_count((holder, account, door, sessions): (String, String, String, i64)) -> GateCount {
    GateCount { holder, account, door, sessions: u32::try_from(sessions).unwrap_or(u32::MAX) }
}
