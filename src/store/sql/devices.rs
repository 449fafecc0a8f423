//! The messages of devices, counted in the database, so that processes that share it count together.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::dialect::Backend;
use crate::store::{DEVICE_HOUR, DeviceMessages, DeviceStore, Id, Result};

#[async_trait]
impl DeviceStore for Backend {
    async fn count_messages(
        &self,
        account: &Id,
        network: &str,
        count: u32,
        now: OffsetDateTime,
    ) -> Result<()> {
        // If the clock was set back, a new hour begins, so that no hour lasts longer.
        let sql = "INSERT INTO device_messages (account_id, network, since, count) \
             SELECT id, $1, $2, $3 FROM accounts WHERE id = $4 \
             ON CONFLICT (account_id, network) DO UPDATE SET \
             count = excluded.count + CASE WHEN excluded.since - device_messages.since BETWEEN 0 AND $5 \
             THEN device_messages.count ELSE 0 END, \
             since = CASE WHEN excluded.since - device_messages.since BETWEEN 0 AND $5 \
             THEN device_messages.since ELSE excluded.since END";
        let query = sqlx::query(sql).bind(network).bind(now.unix_timestamp()).bind(i64::from(count));
        self.run(query.bind(&account.0).bind(DEVICE_HOUR.whole_seconds() - 1)).await.map(drop)
    }

    async fn device_messages(
        &self,
        account: &Id,
        network: &str,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceMessages>> {
        let sql = "SELECT since, count FROM device_messages WHERE account_id = $1 AND network = $2 \
             AND $3 - since BETWEEN 0 AND $4";
        let query = sqlx::query_as(sql).bind(&account.0).bind(network).bind(now.unix_timestamp());
        let query = query.bind(DEVICE_HOUR.whole_seconds() - 1);
        let found: Option<(i64, i64)> = query.fetch_optional(&self.pool()?).await?;
        Ok(found.map(|(since, count)| DeviceMessages {
            since: OffsetDateTime::from_unix_timestamp(since).unwrap_or(now),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }))
    }
}
