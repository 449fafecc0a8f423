//! Decides whether a session may begin: for a client with a name and a password, or for a device, which has only
//! its address.

use std::sync::Arc;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error, warn};

use super::denied::Denied;
use super::login_line::LoginLine;
use super::reason::Reason;
use super::{ANSWER_RESERVE, Connection, Proxy, denial};
use crate::account::{self, Account, Admitted, DeviceBar, DeviceLogin, DeviceVerdict, StoreError, Verdict};
use crate::config::Device;
use crate::protocol::{Denial, Login, Protocol};

/// Who asks for a session.
pub(super) enum Asked {
    /// A client with a name and a password.
    Login(Login),
    /// A device, without either.
    Send(Device),
}

impl Asked {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Login(login) => &login.name,
            Self::Send(device) => &device.account,
        }
    }

    /// Drops the password, which is not needed any more.
    pub(super) fn device(self) -> Option<Device> {
        match self {
            Self::Login(_) => None,
            Self::Send(device) => Some(device),
        }
    }
}

impl<P: Protocol> Connection<P> {
    /// Checks whether the password opens the account, and notes the outcome in `line`.
    pub(super) async fn admit(
        &self,
        login: &Login,
        due: Instant,
        deadline: Instant,
        line: &mut LoginLine,
    ) -> Result<Box<Admitted>, Denied> {
        let accounts = &self.proxy.accounts;
        let asked = account::Asked { from: self.peer.ip(), exposed: self.is_exposed, due };
        let verdict = accounts.verify(&login.name, &login.password, P::DOOR, asked);
        match answered(timeout_at(deadline - ANSWER_RESERVE, verdict).await)? {
            Verdict::Admitted(admitted) => {
                line.password = admitted.password_name.clone();
                line.provider = admitted.grant.as_ref().map(|grant| grant.provider.clone());
                Ok(admitted)
            }
            Verdict::Barred(barred) => {
                let denial = denial::barred(&barred, P::DOOR);
                warn!(account = barred.account, "{}", denial.text);
                line.password = Some(barred.password);
                Err(Denied::new(Reason::from(&barred.by), denial))
            }
            Verdict::Refused { elsewhere: None } => {
                line.fingerprint = Some(accounts.fingerprint(&login.password));
                Err(Denied::new(Reason::WrongPassword, Denial::wrong_password()))
            }
            Verdict::Refused { elsewhere: Some(password) } => {
                line.password = Some(password);
                Err(Denied::new(Reason::WrongNetwork, Denial::wrong_password()))
            }
            Verdict::Throttled(wait) => Err(Denied::new(Reason::TooManyFailures, denial::throttled(wait))),
            Verdict::Busy => Err(Denied::new(Reason::Busy, denial::busy())),
        }
    }

    /// Checks whether `device` may send now, and notes the outcome in `line`.
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
        match answered(timeout_at(deadline - ANSWER_RESERVE, verdict).await)? {
            DeviceVerdict::Admitted(admitted) => {
                line.provider = admitted.grant.as_ref().map(|grant| grant.provider.clone());
                Ok(admitted)
            }
            DeviceVerdict::Refused(bar) => {
                let denial = denial::device(bar, account, *messages_per_hour);
                warn!(account, "{}", denial.text);
                Err(Denied::new(Reason::from(bar), denial))
            }
        }
    }
}

/// What the store has answered. If it is slow, the client must still get an answer.
fn answered<T>(verdict: Result<Result<T, StoreError>, Elapsed>) -> Result<T, Denied> {
    let denial = match verdict {
        Ok(Ok(verdict)) => return Ok(verdict),
        Ok(Err(error)) => {
            error!("the store failed: {error}");
            denial::store_failed(&error)
        }
        Err(_) => {
            warn!("the store did not answer in time");
            denial::busy()
        }
    };
    Err(Denied::new(Reason::Store, denial))
}

/// Why the account is closed to a device, and the cure, for the log.
pub fn device_trouble(bar: DeviceBar, device: &Device) -> String {
    denial::device(bar, &device.account, device.messages_per_hour).text
}

/// Counts a message that a device begins to send, without delaying its session.
pub(super) fn count_message(proxy: &Arc<Proxy>, account: &Account, device: &Device) {
    let accounts = proxy.accounts.clone();
    accounts.count_message(account, &device.from.to_string());
    tokio::spawn(async move { accounts.write_messages().await }.in_current_span());
}
