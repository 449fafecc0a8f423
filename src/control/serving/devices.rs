//! What is wrong with devices, said when a configuration is taken: a device has no person before it who would see it.

use tracing::warn;

use crate::account::Accounts;
use crate::connection::{Proxy, device_trouble};

/// Says which devices of `proxy` cannot send as the account that the configuration gives them.
pub(super) async fn warn_of_closed(proxy: &Proxy, accounts: &Accounts) {
    for device in proxy.access.iter().flat_map(|access| &access.devices) {
        match accounts.device_bar(&device.account).await {
            Ok(Some(bar)) => warn!("the device at {}: {}", device.from, device_trouble(bar, device)),
            Ok(None) => {}
            Err(error) => return warn!("whether devices can send cannot be read: {error}"),
        }
    }
}
