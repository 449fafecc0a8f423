//! Bearer tokens for the API.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, Row};
use super::rows::time_of;
use super::trail::commit_with;
use crate::store::{API_TOKEN_HASH, Act, ApiToken, ApiTokenStore, StoreError};

#[async_trait]
impl ApiTokenStore for Backend {
    async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let sql = "SELECT name, hash, read_only, created_at, last_used_at FROM api_tokens \
             ORDER BY name";
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        rows.iter().map(token).collect()
    }

    async fn add_api_token(&self, token: &ApiToken, act: &Act) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let sql = "INSERT INTO api_tokens (name, hash, read_only, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING";
        let done = sqlx::query(sql)
            .bind(&token.name)
            .bind(&token.hash[..])
            .bind(token.read_only)
            .bind(token.created_at.unix_timestamp())
            .execute(&mut *transaction)
            .await?;
        commit_with(transaction, done.rows_affected() == 1, act).await
    }

    async fn remove_api_token(&self, name: &str, act: &Act) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let sql = "DELETE FROM api_tokens WHERE name = $1";
        let done = sqlx::query(sql).bind(name).execute(&mut *transaction).await?;
        commit_with(transaction, done.rows_affected() == 1, act).await
    }

    async fn note_api_token(&self, name: &str, at: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query("UPDATE api_tokens SET last_used_at = $1 WHERE name = $2")
            .bind(at.unix_timestamp())
            .bind(name)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }
}

fn token(row: &Row) -> Result<ApiToken, StoreError> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let hash: [u8; API_TOKEN_HASH] =
        hash.try_into().map_err(|_| StoreError::Failed("the hash of an API token is damaged".into()))?;
    Ok(ApiToken {
        name: row.try_get("name")?,
        hash,
        read_only: row.try_get("read_only")?,
        created_at: time_of(row, "created_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        last_used_at: time_of(row, "last_used_at")?,
    })
}
