//! Sealed values outside of grants.

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::Sqlite;
use crate::store::{Lock, SealedSetting, SealingLock, SettingStore, StoreError};

/// All settings.
pub(super) async fn sealed(pool: &SqlitePool) -> Result<Vec<SealedSetting>, StoreError> {
    let rows = sqlx::query("SELECT key, value FROM settings").fetch_all(pool).await?;
    let setting =
        |row: &SqliteRow| Ok(SealedSetting { key: row.try_get("key")?, value: row.try_get("value")? });
    rows.iter().map(setting).collect()
}

#[async_trait]
impl SettingStore for Sqlite {
    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT value FROM settings WHERE key = ?")
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
        let done = sqlx::query("UPDATE settings SET value = ? WHERE key = ? AND value = ?")
            .bind(new)
            .bind(key)
            .bind(old)
            .execute(&self.pool()?)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn lock_sealing(&self) -> Result<SealingLock, StoreError> {
        let file = self.path.with_file_name(Lock::FILE);
        let taking = tokio::task::spawn_blocking(move || Lock::take(&file));
        match taking.await {
            Ok(Ok(lock)) => Ok(SealingLock::new(lock)),
            Ok(Err(error)) => Err(StoreError::Unusable(error.to_string())),
            Err(error) => Err(StoreError::Failed(error.into())),
        }
    }
}
