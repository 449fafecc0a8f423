//! The sign-in links in the rows of accounts.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, Row, Writing};
use super::rows::{number, time_of};
use crate::store::{Id, LinkStore, Linked, Result, SignInLink};

#[async_trait]
impl LinkStore for Backend {
    async fn link(&self, account: &Id) -> Result<Option<SignInLink>> {
        let sql = "SELECT link_hash, link_sealed, link_made_at, link_begun FROM accounts WHERE id = $1";
        let row = sqlx::query(sql).bind(&account.0).fetch_optional(&self.pool()?).await?;
        row.as_ref().map_or(Ok(None), link)
    }

    async fn renew_link(
        &self,
        account: &Id,
        seen: Option<&[u8]>,
        new: &SignInLink,
    ) -> Result<Option<SignInLink>> {
        let sql = "UPDATE accounts SET link_before_hash = link_hash, link_before_made_at = link_made_at, \
             link_before_begun = link_begun, link_hash = $1, link_sealed = $2, link_made_at = $3, link_begun = $4 \
             WHERE id = $5 AND link_hash IS NOT DISTINCT FROM $6";
        let query = sqlx::query(sql).bind(&new.hash).bind(&new.sealed).bind(new.made_at.unix_timestamp());
        match self.run(query.bind(i64::from(new.begun)).bind(&account.0).bind(seen)).await? {
            0 => self.link(account).await,
            _ => Ok(Some(new.clone())),
        }
    }

    async fn linked(&self, hash: &[u8]) -> Result<Option<Linked>> {
        let sql = "SELECT name, link_made_at AS made_at, link_begun AS begun FROM accounts WHERE link_hash = $1 \
             UNION ALL SELECT name, link_before_made_at, link_before_begun FROM accounts WHERE link_before_hash = $1 \
             LIMIT 1";
        let row = sqlx::query(sql).bind(hash).fetch_optional(&self.pool()?).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Linked {
            account: row.try_get("name")?,
            made_at: time_of(&row, "made_at")?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            begun: number(&row, "begun")?,
        }))
    }

    async fn begin_by_link(&self, hash: &[u8], most: u32, since: OffsetDateTime) -> Result<bool> {
        let newest = "UPDATE accounts SET link_begun = link_begun + 1 \
             WHERE link_hash = $1 AND link_begun < $2 AND link_made_at > $3";
        let before = "UPDATE accounts SET link_before_begun = link_before_begun + 1 \
             WHERE link_before_hash = $1 AND link_before_begun < $2 AND link_before_made_at > $3";
        for sql in [newest, before] {
            let query = sqlx::query(sql).bind(hash).bind(i64::from(most)).bind(since.unix_timestamp());
            if self.run(query).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn sealed_links(&self) -> Result<Vec<(Id, Vec<u8>)>> {
        let sql = "SELECT id, link_sealed FROM accounts WHERE link_sealed IS NOT NULL";
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(&self.pool()?).await?;
        Ok(rows.into_iter().map(|(id, sealed)| (Id(id), sealed)).collect())
    }

    async fn reseal_link(&self, account: &Id, old: &[u8], new: &[u8]) -> Result<bool> {
        let sql = "UPDATE accounts SET link_sealed = $1 WHERE id = $2 AND link_sealed = $3";
        Ok(self.run(sqlx::query(sql).bind(new).bind(&account.0).bind(old)).await? == 1)
    }

    async fn claim_alert(&self, account: &Id, now: OffsetDateTime, since: OffsetDateTime) -> Result<bool> {
        // A time in the future was written under a wrong clock.
        let sql = "UPDATE accounts SET alerted_at = $1 WHERE id = $2 \
             AND (alerted_at IS NULL OR alerted_at <= $3 OR alerted_at > $1)";
        let query = sqlx::query(sql).bind(now.unix_timestamp()).bind(&account.0).bind(since.unix_timestamp());
        Ok(self.run(query).await? == 1)
    }
}

/// Ends the links of all accounts that use `grant`, if the grant is in force: a consent that is still awaited leaves
/// the link that asks for it.
pub(super) async fn end_links(transaction: &mut Writing, grant: &Id) -> Result<()> {
    let sql = "UPDATE accounts SET link_hash = NULL, link_sealed = NULL, link_made_at = NULL, link_begun = 0, \
         link_before_hash = NULL, link_before_made_at = NULL, link_before_begun = 0, alerted_at = NULL \
         WHERE grant_id = $1 AND EXISTS (SELECT 1 FROM grants WHERE id = $1 AND in_force)";
    sqlx::query(sql).bind(&grant.0).execute(&mut **transaction).await?;
    Ok(())
}

fn link(row: &Row) -> Result<Option<SignInLink>> {
    let (hash, sealed) = (row.try_get("link_hash")?, row.try_get("link_sealed")?);
    let (Some(hash), Some(sealed), Some(made_at)) = (hash, sealed, time_of(row, "link_made_at")?) else {
        return Ok(None);
    };
    Ok(Some(SignInLink { hash, sealed, made_at, begun: number(row, "link_begun")? }))
}
