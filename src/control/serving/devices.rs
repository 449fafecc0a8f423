//! Warnings about devices, logged when a configuration is applied: no person watches a device.

use tracing::warn;

use crate::account::Accounts;
use crate::connection::{Proxy, device_trouble};

/// Logs which devices of `proxy` cannot send as their configured accounts.
pub(super) async fn warn_of_closed(proxy: &Proxy, accounts: &Accounts) {
    for device in proxy.access.iter().flat_map(|access| &access.devices) {
        match accounts.device_bar(&device.account).await {
            Ok(Some(bar)) => warn!("the device at {}: {}", device.from, device_trouble(bar, device)),
            Ok(None) => {}
            Err(error) => return warn!("whether devices can send cannot be read: {error}"),
        }
    }
}
