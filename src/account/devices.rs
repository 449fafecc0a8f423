//! Devices, which send without a password: their address stands for an account in the configuration.
//!
//! The invariant: a device gets what its account may do at its door, and nothing that a password would not: an account
//! that is disabled or whose grant was revoked refuses the device, and the device's sessions end. A device proves
//! nothing secret, so the number of its messages is limited instead: each message is counted when the provider is ready
//! for it, and the next session is admitted by that count. The count is kept in the store, so that it outlives the
//! process; messages that are not written yet count, too. Sessions without a message do not count; far more of them than
//! messages are refused, by a count of this process.
//!
//! The account of an application, whose grant may open many mailboxes, exists only behind an app password (security
//! row 27). Such an account serves a device only by its own name, never by that of its domain, and only while it has
//! an app password: without one, the account is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use time::{Duration, OffsetDateTime};

use super::{Accounts, Admitted, Found, find};
use crate::mutex::lock;
use crate::store::{
    Account, DEVICE_HOUR, DeviceMessages, Grant, GrantKind, Id, LoginNote, LoginRecord, Mailbox, StoreError,
};

/// The number of sessions that may begin for each message that a device may send: enough for a device that asks before
/// it sends.
const SESSIONS_A_MESSAGE: u32 = 10;

/// A device that wants to send.
#[derive(Clone, Debug)]
pub struct DeviceLogin<'a> {
    /// The login name of its account.
    pub account: &'a str,
    /// Its network in the configuration.
    pub network: &'a str,
    /// Its address.
    pub from: IpAddr,
    /// The most messages that it may send in an hour.
    pub messages_per_hour: u32,
}

/// The outcome for a device that wants to send.
#[derive(Debug)]
pub enum DeviceVerdict {
    /// The device may send.
    Admitted(Box<Admitted>),
    /// The device may not send.
    Refused(DeviceBar),
}

/// Why a device may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceBar {
    /// There is no account of that name.
    NoAccount,
    /// Only a whole domain's account has that name.
    OfDomain,
    /// The account is disabled.
    Disabled,
    /// The account is an application's and has no app password.
    NoPassword,
    /// The device has reached its limit, and may send again after this time.
    TooMany(Duration),
    /// The device has begun far more sessions than it may send messages, and may begin one after this time.
    TooOften(Duration),
}

/// The messages that are counted but not stored yet, by account and network.
#[derive(Default)]
pub(super) struct Counted {
    messages: Mutex<HashMap<(Id, String), u32>>,
    /// Held while the counts are written to the store.
    writing: tokio::sync::Mutex<()>,
    /// The sessions of the hour that began with the first of them.
    sessions: Mutex<HashMap<(Id, String), (OffsetDateTime, u32)>>,
}

impl Counted {
    /// Counts a session that begins at `now`; the time to wait if it is more than `most` within the hour.
    fn begin_session(&self, key: (Id, String), most: u32, now: OffsetDateTime) -> Result<(), Duration> {
        let mut sessions = lock(&self.sessions);
        let (since, count) = sessions.entry(key).or_insert((now, 0));
        // A clock that was set back begins another hour.
        if *since > now || now - *since >= DEVICE_HOUR {
            (*since, *count) = (now, 0);
        }
        if *count >= most {
            return Err(since.saturating_add(DEVICE_HOUR) - now);
        }
        *count += 1;
        Ok(())
    }
}

impl Accounts {
    /// Whether a device may send now.
    pub async fn admit_device(&self, login: &DeviceLogin<'_>) -> Result<DeviceVerdict, StoreError> {
        let refused = |bar| Ok(DeviceVerdict::Refused(bar));
        let Some(Found { record, mailbox, key }) = find(&*self.store, login.account).await? else {
            return refused(DeviceBar::NoAccount);
        };
        if mailbox != Mailbox::Own {
            return refused(DeviceBar::OfDomain);
        }
        if let Some(bar) = bar(&record) {
            return refused(bar);
        }
        let LoginRecord { account, grant, .. } = record;
        let now = OffsetDateTime::now_utc();
        self.write_messages_now().await?;
        let sent = self.store.device_messages(&account.id, login.network, now).await?;
        if let Some(DeviceMessages { since, count }) = sent
            && count >= login.messages_per_hour
        {
            return refused(DeviceBar::TooMany(since.saturating_add(DEVICE_HOUR) - now));
        }
        let most = login.messages_per_hour.saturating_mul(SESSIONS_A_MESSAGE);
        let key_of_device = (account.id.clone(), login.network.to_owned());
        if let Err(wait) = self.counted.begin_session(key_of_device, most, now) {
            return refused(DeviceBar::TooOften(wait));
        }
        let session = self.sessions.enter(&account.id, account.grant.as_ref(), Some(&key));
        self.refusals.read(&account);
        // No password has this id, so that only the account's last login is written.
        let (id, from) = (account.id.clone(), login.from.to_string());
        self.notes.add(LoginNote { account: id.clone(), password: id, at: now, from });
        let admitted = Admitted { account, grant, mailbox, password_name: None, session };
        Ok(DeviceVerdict::Admitted(Box::new(admitted)))
    }

    /// Counts one message of a device; [`Accounts::write_messages`] writes the count to the store.
    pub fn count_message(&self, account: &Account, network: &str) {
        *lock(&self.counted.messages).entry((account.id.clone(), network.to_owned())).or_default() += 1;
    }

    /// Stores the counts. Counts that cannot be stored stay in this process.
    pub async fn write_messages(&self) {
        if let Err(error) = self.write_messages_now().await {
            tracing::warn!("how many messages devices have sent was not written: {error}");
        }
    }

    async fn write_messages_now(&self) -> Result<(), StoreError> {
        let _writing = self.counted.writing.lock().await;
        let counted: Vec<_> =
            lock(&self.counted.messages).iter().map(|(key, count)| (key.clone(), *count)).collect();
        for ((account, network), count) in counted {
            self.store.count_messages(&account, &network, count, OffsetDateTime::now_utc()).await?;
            let mut messages = lock(&self.counted.messages);
            let key = (account, network);
            match messages.get_mut(&key) {
                Some(more) if *more > count => *more -= count,
                _ => drop(messages.remove(&key)),
            }
        }
        Ok(())
    }

    /// The accounts whose devices have sessions and may still send.
    pub(super) async fn devices_in_force(&self) -> Result<Vec<Id>, StoreError> {
        let mut in_force = Vec::new();
        for (id, name) in self.sessions.devices() {
            let Some(record) = self.store.find(&name).await? else { continue };
            let has_grant = record.grant.as_ref().is_some_and(Grant::is_in_force);
            if record.account.id == id && has_grant && bar(&record).is_none() {
                in_force.push(id);
            }
        }
        Ok(in_force)
    }

    /// Why no device can send as the account called `name`, apart from the hourly limit; `None` if one can.
    pub async fn device_bar(&self, name: &str) -> Result<Option<DeviceBar>, StoreError> {
        Ok(match find(&*self.store, name).await? {
            None => Some(DeviceBar::NoAccount),
            Some(found) if found.mailbox != Mailbox::Own => Some(DeviceBar::OfDomain),
            Some(found) => bar(&found.record),
        })
    }
}

/// The reason why an account is closed to devices.
fn bar(record: &LoginRecord) -> Option<DeviceBar> {
    let is_app = record.grant.as_ref().is_some_and(|grant| grant.kind() == GrantKind::App);
    if record.account.disabled {
        return Some(DeviceBar::Disabled);
    }
    (is_app && record.passwords.is_empty()).then_some(DeviceBar::NoPassword)
}
