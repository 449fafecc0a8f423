//! The messages of devices, counted in the database, so that processes that share it count together.

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::Backend;
use crate::store::{DEVICE_HOUR, DeviceMessages, DeviceStore, Id, StoreError};

#[async_trait]
impl DeviceStore for Backend {
    async fn count_messages(
        &self,
        account: &Id,
        network: &str,
        count: u32,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        // If the clock was set back, a new hour begins, so that no hour lasts longer.
        let sql = "INSERT INTO device_messages (account_id, network, since, count) \
             SELECT id, $1, $2, $3 FROM accounts WHERE id = $4 \
             ON CONFLICT (account_id, network) DO UPDATE SET \
             count = excluded.count + CASE WHEN excluded.since - device_messages.since BETWEEN 0 AND $5 \
             THEN device_messages.count ELSE 0 END, \
             since = CASE WHEN excluded.since - device_messages.since BETWEEN 0 AND $5 \
             THEN device_messages.since ELSE excluded.since END";
        sqlx::query(sql)
            .bind(network)
            .bind(now.unix_timestamp())
            .bind(i64::from(count))
            .bind(&account.0)
            .bind(DEVICE_HOUR.whole_seconds() - 1)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }

    async fn device_messages(
        &self,
        account: &Id,
        network: &str,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceMessages>, StoreError> {
        let sql = "SELECT since, count FROM device_messages WHERE account_id = $1 AND network = $2 \
             AND $3 - since BETWEEN 0 AND $4";
        let row = sqlx::query(sql)
            .bind(&account.0)
            .bind(network)
            .bind(now.unix_timestamp())
            .bind(DEVICE_HOUR.whole_seconds() - 1)
            .fetch_optional(&self.pool()?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (since, count): (i64, i64) = (row.try_get("since")?, row.try_get("count")?);
        let since = OffsetDateTime::from_unix_timestamp(since).unwrap_or(now);
        Ok(Some(DeviceMessages { since, count: u32::try_from(count).unwrap_or(u32::MAX) }))
    }
}
