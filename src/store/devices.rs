//! Numbers of messages that devices have sent; they log in without a password.

use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use super::{Id, Result};

/// The period for counting messages; it begins with the first message after the last period.
pub const DEVICE_HOUR: Duration = Duration::HOUR;

/// The messages of one device in the current hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMessages {
    /// When the hour began.
    pub since: OffsetDateTime,
    /// Number of messages.
    pub count: u32,
}

/// Counts the messages of devices. A device is an account and the network that stands for it.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Counts more messages at `now`. Messages of a removed account are not counted.
    async fn count_messages(
        &self,
        account: &Id,
        network: &str,
        count: u32,
        now: OffsetDateTime,
    ) -> Result<()>;

    /// The messages of the hour around `now`; `None` if there are none.
    async fn device_messages(
        &self,
        account: &Id,
        network: &str,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceMessages>>;
}
