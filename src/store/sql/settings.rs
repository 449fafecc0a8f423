//! Sealed values outside of grants.

use async_trait::async_trait;

use super::dialect::{Backend, Pool};
use crate::store::{Result, SealedSetting, SealingLock, SettingStore};

/// All settings.
pub(super) async fn sealed(pool: &Pool) -> Result<Vec<SealedSetting>> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT key, value FROM settings").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(key, value)| SealedSetting { key, value }).collect())
}

#[async_trait]
impl SettingStore for Backend {
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>> {
        let mut transaction = self.write().await?;
        let sql = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        sqlx::query(sql).bind(key).bind(value).execute(&mut *transaction).await?;
        let kept = sqlx::query_scalar("SELECT value FROM settings WHERE key = $1").bind(key);
        let kept = kept.fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(kept)
    }

    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>> {
        sealed(&self.pool()?).await
    }

    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool> {
        let query = sqlx::query("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3");
        Ok(self.run(query.bind(new).bind(key).bind(old)).await? == 1)
    }

    async fn remove_setting(&self, key: &str, value: &[u8]) -> Result<()> {
        let query = sqlx::query("DELETE FROM settings WHERE key = $1 AND value = $2");
        self.run(query.bind(key).bind(value)).await.map(drop)
    }

    async fn lock_sealing(&self) -> Result<SealingLock> {
        self.keep_others_from_sealing().await
    }
}
