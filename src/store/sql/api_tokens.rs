//! Bearer tokens for the API.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, Row};
use super::rows::time_of;
use crate::store::{API_TOKEN_HASH, Act, ApiToken, ApiTokenStore, Result, StoreError};

#[async_trait]
impl ApiTokenStore for Backend {
    async fn api_tokens(&self) -> Result<Vec<ApiToken>> {
        let sql = "SELECT name, hash, read_only, created_at, last_used_at FROM api_tokens ORDER BY name";
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        rows.iter().map(token).collect()
    }

    async fn add_api_token(&self, token: &ApiToken, act: &Act) -> Result<bool> {
        let sql = "INSERT INTO api_tokens (name, hash, read_only, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING";
        let query = sqlx::query(sql).bind(&token.name).bind(&token.hash[..]).bind(token.read_only);
        self.change(query.bind(token.created_at.unix_timestamp()), act).await
    }

    async fn remove_api_token(&self, name: &str, act: &Act) -> Result<bool> {
        self.change(sqlx::query("DELETE FROM api_tokens WHERE name = $1").bind(name), act).await
    }

    async fn note_api_token(&self, name: &str, at: OffsetDateTime) -> Result<()> {
        let query = sqlx::query("UPDATE api_tokens SET last_used_at = $1 WHERE name = $2");
        self.run(query.bind(at.unix_timestamp()).bind(name)).await.map(drop)
    }
}

fn token(row: &Row) -> Result<ApiToken> {
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
