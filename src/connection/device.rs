//! A device that wants to send without a login: its address is what it has, so that is what is judged.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, warn};

use super::login_line::{Denied, LoginLine, Reason};
use super::{ANSWER_RESERVE, Connection, Proxy, denial};
use crate::account::{Account, Admitted, DeviceBar, DeviceLogin, DeviceVerdict};
use crate::config::Device;
use crate::protocol::Protocol;

impl<P: Protocol> Connection<P> {
    /// Whether `device` may send now. What is learned on the way stands in the `line`.
    pub(super) async fn admit_device(
        &self,
        device: &Device,
        deadline: Instant,
        line: &mut LoginLine,
    ) -> Result<Box<Admitted>, Denied> {
        let Device { account, messages_per_hour, .. } = device;
        let network = device.from.to_string();
        let login = DeviceLogin {
            account,
            network: &network,
            from: self.peer.ip(),
            messages_per_hour: *messages_per_hour,
        };
        let verdict = self.proxy.accounts.admit_device(&login);
        let Ok(verdict) = timeout_at(deadline - ANSWER_RESERVE, verdict).await else {
            warn!("the store did not answer in time");
            return Err(Denied::new(Reason::Store, denial::busy()));
        };
        match verdict {
            Ok(DeviceVerdict::Admitted(admitted)) => {
                line.provider = admitted.grant.as_ref().map(|grant| grant.provider.clone());
                Ok(admitted)
            }
            Ok(DeviceVerdict::Refused(bar)) => {
                let denial = denial::device(bar, account, *messages_per_hour);
                warn!(account, "{}", denial.text);
                Err(Denied::new(Reason::from(bar), denial))
            }
            Err(error) => {
                error!("the store failed: {error}");
                Err(Denied::new(Reason::Store, denial::store_failed()))
            }
        }
    }
}

/// What closes its account to a device, and what opens it, for the log.
pub fn device_trouble(bar: DeviceBar, device: &Device) -> String {
    denial::device(bar, &device.account, device.messages_per_hour).text
}

/// Counts a message that a device begins to send, without holding its session up.
pub(super) fn count(proxy: &Arc<Proxy>, account: &Account, device: &Device) {
    let accounts = proxy.accounts.clone();
    accounts.count_message(account, &device.from.to_string());
    tokio::spawn(async move { accounts.write_messages().await }.in_current_span());
}
