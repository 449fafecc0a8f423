//! The instances on this database, the look at their changes, and the connections that they hold.
//!
//! A look at a database without changes is one statement. A look reads the rows of all transactions that were not over
//! at the previous look: the numbers of these transactions are at least the mark. Some rows are read twice that way,
//! which changes nothing.

use async_trait::async_trait;
use sqlx::Row as _;

use super::Postgres;
use super::news::{CHANNEL, OF_INSTANCES};
use crate::store::{
    DEAD_AFTER, GateCount, Instance, InstanceAnswer, InstanceStore, Look, Owed, Question, StoreError,
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
pub(super) use XACT;

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

impl Postgres {
    async fn changed_gates(&self, own: &str, mark: i64) -> Result<Vec<GateCount>, StoreError> {
        let sql =
            "SELECT holder, account, door, sessions FROM gate_counts WHERE changed >= $1 AND holder <> $2";
        let rows = sqlx::query(sql).bind(mark).bind(own).fetch_all(&self.pool()?).await?;
        let count = |row: &sqlx::postgres::PgRow| {
            let sessions: i64 = row.try_get("sessions")?;
            Ok(GateCount {
                holder: row.try_get("holder")?,
                account: row.try_get("account")?,
                door: row.try_get("door")?,
                sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            })
        };
        rows.iter().map(count).collect()
    }
}

#[async_trait]
impl InstanceStore for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    async fn join(&self, place: &str) -> Result<(), StoreError> {
        let own = self.holder.own().await?;
        let sql = "WITH joined AS (INSERT INTO instances (holder, place) VALUES ($1, $2) \
             ON CONFLICT (holder) DO UPDATE SET place = excluded.place) SELECT pg_notify($3, $4)";
        let query = sqlx::query(sql).bind(own).bind(place).bind(CHANNEL).bind(OF_INSTANCES);
        query.execute(&self.pool()?).await?;
        Ok(())
    }

    async fn part(&self) -> Result<(), StoreError> {
        let sql = "WITH gone AS (DELETE FROM instances WHERE holder = $1) SELECT pg_notify($2, $3)";
        let query = sqlx::query(sql).bind(self.holder.known()).bind(CHANNEL).bind(OF_INSTANCES);
        query.execute(&self.pool()?).await?;
        Ok(())
    }

    async fn others(&self) -> Result<Vec<Instance>, StoreError> {
        let own = self.holder.known().unwrap_or_default();
        let rows = sqlx::query(OTHERS).bind(own).bind(DEAD_AFTER).fetch_all(&self.pool()?).await?;
        let instance = |row: &sqlx::postgres::PgRow| {
            Ok(Instance { holder: row.try_get("holder")?, place: row.try_get("place")? })
        };
        rows.iter().map(instance).collect()
    }

    async fn look_around(&self, mark: i64) -> Result<Look, StoreError> {
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
            look.gates = self.changed_gates(&own, mark).await?;
        }
        if first.try_get::<i64, _>("owed")? >= mark {
            look.owed = self.changed_owed(mark).await?;
        }
        if first.try_get("asked")? {
            look.questions = self.open_questions(&own).await?;
        }
        Ok(look)
    }

    async fn told(&self) {
        self.news.told().await;
    }

    async fn tell_gates(&self, held: &[GateCount], whole: bool) -> Result<(), StoreError> {
        let accounts: Vec<&str> = held.iter().map(|held| held.account.as_str()).collect();
        let doors: Vec<&str> = held.iter().map(|held| held.door.as_str()).collect();
        let sessions: Vec<i64> = held.iter().map(|held| held.sessions.into()).collect();
        sqlx::query(TELL_GATES)
            .bind(self.holder.own().await?)
            .bind(accounts)
            .bind(doors)
            .bind(sessions)
            .bind(whole)
            .bind(CHANNEL)
            .bind(OF_INSTANCES)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }

    async fn tell_owed(&self, owed: &[Owed]) -> Result<(), StoreError> {
        self.add_owed(owed).await
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        self.forget_paid().await?;
        self.forget_questions().await
    }

    async fn ask(&self, question: &Question, seconds: u32) -> Result<(), StoreError> {
        self.put_question(question, seconds).await
    }

    async fn answer(&self, question: &str, sealed: &[u8]) -> Result<(), StoreError> {
        let own = self.holder.own().await?;
        self.put_answer(question, &own, sealed).await
    }

    async fn answers(&self, question: &str) -> Result<Vec<InstanceAnswer>, StoreError> {
        self.answers_to(question).await
    }

    async fn count_answers(&self, question: &str) -> Result<usize, StoreError> {
        self.number_of_answers_to(question).await
    }

    async fn withdraw(&self, question: &str) -> Result<(), StoreError> {
        self.remove_question(question).await
    }
}
