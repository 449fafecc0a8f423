//! How many messages devices have sent, for which no password answers.

use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use super::{Id, StoreError};

/// What an hour of messages is counted in; it begins with the first message behind the hour before.
pub const DEVICE_HOUR: Duration = Duration::HOUR;

/// The messages of one device in the hour under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMessages {
    /// When the hour began.
    pub since: OffsetDateTime,
    /// How many there are.
    pub count: u32,
}

/// Counts the messages of devices. A device is an account and the network that stands for it.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Counts so many more messages at `now`. Those of an account that is gone are not counted.
    async fn count_messages(
        &self,
        account: &Id,
        network: &str,
        count: u32,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// The messages of the hour that `now` is in; `None` where there are none.
    async fn device_messages(
        &self,
        account: &Id,
        network: &str,
        now: OffsetDateTime,
    ) -> Result<Option<DeviceMessages>, StoreError>;
}
