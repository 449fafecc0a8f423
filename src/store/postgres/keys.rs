//! Which sealing keys each running `serve` has, so that `keys rotate` seals nothing with a key that one of them lacks.
//!
//! A rotation asks a question with a new name. A `serve` that finds the question at its next sign of life reads its
//! keys again and writes their names to its row of `holder_keys`. So a key file that was copied to a machine counts
//! without a restart there. Nothing in these rows is secret: a fingerprint of a random key does not help to find that
//! key.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Postgres;
use super::pool::Pool;
use crate::mutex::lock;
use crate::store::{DEAD_AFTER, KeyTeller, KeyTellingStore, Result, StoreError, ToldKeys};

#[async_trait]
impl KeyTellingStore for Postgres {
    async fn tell_keys(&self, keys: KeyTeller) -> Result<()> {
        let holder = self.holder.own().await?;
        self.holder.keys.tell(&holder, keys).await
    }

    async fn ask_keys(&self, asking: &str) -> Result<Vec<ToldKeys>> {
        let pool = self.pool()?;
        let sql = "UPDATE holder_keys SET asked = $1 WHERE asked IS DISTINCT FROM $1";
        sqlx::query(sql).bind(asking).execute(&pool).await?;
        let sql = "SELECT place, keys, looked_for IS NOT DISTINCT FROM $1 FROM holder_keys JOIN holders ON name = holder \
             WHERE seen > clock_timestamp() - $2 * interval '1 second' ORDER BY place";
        let rows: Vec<(String, String, bool)> =
            sqlx::query_as(sql).bind(asking).bind(DEAD_AFTER).fetch_all(&pool).await?;
        let told = |(place, keys, has_looked): (String, String, bool)| {
            let keys = keys.split_whitespace().map(str::to_owned).collect();
            ToldKeys { place, keys, has_looked }
        };
        Ok(rows.into_iter().map(told).collect())
    }
}

/// The answers of this process to questions about its keys.
pub(super) struct Keys {
    pool: Pool,
    teller: Mutex<Option<KeyTeller>>,
    /// Held while an answer is under way.
    answering: Arc<tokio::sync::Mutex<()>>,
}

impl Keys {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, teller: Mutex::new(None), answering: Arc::default() }
    }

    /// Writes the key names that `teller` returns, now and at each question.
    pub(super) async fn tell(&self, holder: &str, teller: KeyTeller) -> Result<()> {
        // Waits for an answer under way, which knows no teller yet, so that the keys are read once.
        let _answering = self.answering.lock().await;
        *lock(&self.teller) = Some(teller.clone());
        self.write(holder, teller, None).await
    }

    /// Begins to answer an open question, unless an answer is under way.
    pub(super) fn answer_soon(self: &Arc<Self>, holder: &str) {
        let Ok(answering) = self.answering.clone().try_lock_owned() else { return };
        let (keys, holder) = (self.clone(), holder.to_owned());
        tokio::spawn(async move {
            if let Err(error) = keys.answer(&holder).await {
                tracing::debug!("the keys of this process were not told: {error}");
            }
            drop(answering);
        });
    }

    async fn answer(&self, holder: &str) -> Result<()> {
        let teller = lock(&self.teller).clone();
        let Some(teller) = teller else { return Ok(()) };
        let sql = "SELECT asked, looked_for FROM holder_keys WHERE holder = $1";
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as(sql).bind(holder).fetch_optional(&self.pool).await?;
        match row {
            Some((asked, looked_for)) if asked == looked_for => Ok(()),
            Some((asked, _)) => self.write(holder, teller, asked).await,
            // The row was removed with that of its holder, which had counted as dead for a day.
            None => self.write(holder, teller, None).await,
        }
    }

    async fn write(&self, holder: &str, teller: KeyTeller, looked_for: Option<String>) -> Result<()> {
        // Reading keys may run a program.
        let told = tokio::task::spawn_blocking(move || teller()).await;
        let (place, keys) = told.map_err(|error| StoreError::Failed(error.into()))?;
        let sql = "INSERT INTO holder_keys (holder, place, keys, looked_for) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (holder) DO UPDATE SET place = $2, keys = $3, looked_for = $4";
        let query = sqlx::query(sql).bind(holder).bind(place).bind(keys.join(" ")).bind(looked_for);
        query.execute(&self.pool).await?;
        Ok(())
    }
}
