//! Questions to all instances, and their answers, which are removed once they are read.

use sqlx::Row as _;

use super::Postgres;
use super::news::{CHANNEL, OF_INSTANCES};
use crate::store::{InstanceAnswer, Question, StoreError};

impl Postgres {
    pub(super) async fn put_question(&self, question: &Question, seconds: u32) -> Result<(), StoreError> {
        let sql = "WITH asked AS (INSERT INTO instance_questions (id, sealed, until) \
             VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')) SELECT pg_notify($4, $5)";
        sqlx::query(sql)
            .bind(&question.id)
            .bind(&question.sealed)
            .bind(i64::from(seconds))
            .bind(CHANNEL)
            .bind(OF_INSTANCES)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }

    /// The questions that are not over and that the instance `own` has not answered.
    pub(super) async fn open_questions(&self, own: &str) -> Result<Vec<Question>, StoreError> {
        let sql = "SELECT id, sealed FROM instance_questions q WHERE until > clock_timestamp() AND NOT EXISTS \
             (SELECT 1 FROM instance_answers a WHERE a.question = q.id AND a.holder = $1)";
        let rows = sqlx::query(sql).bind(own).fetch_all(&self.pool()?).await?;
        let question = |row: &sqlx::postgres::PgRow| {
            Ok(Question { id: row.try_get("id")?, sealed: row.try_get("sealed")? })
        };
        rows.iter().map(question).collect()
    }

    pub(super) async fn put_answer(
        &self,
        question: &str,
        own: &str,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        // The lock keeps the question from being removed before the answer is stored; both are then removed together.
        let sql = "INSERT INTO instance_answers (question, holder, sealed) \
             SELECT id, $2, $3 FROM instance_questions WHERE id = $1 FOR KEY SHARE ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(question).bind(own).bind(sealed).execute(&self.pool()?).await?;
        Ok(())
    }

    pub(super) async fn answers_to(&self, question: &str) -> Result<Vec<InstanceAnswer>, StoreError> {
        let sql = "SELECT holder, sealed FROM instance_answers WHERE question = $1";
        let rows = sqlx::query(sql).bind(question).fetch_all(&self.pool()?).await?;
        let answer = |row: &sqlx::postgres::PgRow| {
            Ok(InstanceAnswer { holder: row.try_get("holder")?, sealed: row.try_get("sealed")? })
        };
        rows.iter().map(answer).collect()
    }

    pub(super) async fn number_of_answers_to(&self, question: &str) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM instance_answers WHERE question = $1";
        let number: i64 = sqlx::query_scalar(sql).bind(question).fetch_one(&self.pool()?).await?;
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(super) async fn remove_question(&self, question: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM instance_questions WHERE id = $1";
        sqlx::query(sql).bind(question).execute(&self.pool()?).await?;
        Ok(())
    }

    /// Removes the questions of commands that ended before they removed them.
    pub(super) async fn forget_questions(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM instance_questions WHERE until < clock_timestamp()";
        sqlx::query(sql).execute(&self.pool()?).await?;
        Ok(())
    }
}
