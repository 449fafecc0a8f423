//! Sealed values outside of grants.

use async_trait::async_trait;
use sqlx::Row as _;

use super::dialect::{Backend, Pool, Row};
use crate::store::{SealedSetting, SealingLock, SettingStore, StoreError};

/// All settings.
pub(super) async fn sealed(pool: &Pool) -> Result<Vec<SealedSetting>, StoreError> {
    let rows = sqlx::query("SELECT key, value FROM settings").fetch_all(pool).await?;
    let setting = |row: &Row| Ok(SealedSetting { key: row.try_get("key")?, value: row.try_get("value")? });
    rows.iter().map(setting).collect()
}

#[async_trait]
impl SettingStore for Backend {
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT value FROM settings WHERE key = $1")
            .bind(key)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(row.try_get(0)?)
    }

    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>, StoreError> {
        sealed(&self.pool()?).await
    }

    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3")
            .bind(new)
            .bind(key)
            .bind(old)
            .execute(&self.pool()?)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn remove_setting(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM settings WHERE key = $1 AND value = $2");
        query.bind(key).bind(value).execute(&self.pool()?).await?;
        Ok(())
    }

    async fn lock_sealing(&self) -> Result<SealingLock, StoreError> {
        self.keep_others_from_sealing().await
    }
}
