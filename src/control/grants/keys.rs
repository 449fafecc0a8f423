//! What lets mail programs and devices into an account, besides its grant: app passwords, and the devices of the
//! configuration that need none.
//!
//! The state of a grant says nothing about them, so a list that shows the grant's state alone calls an account good that no
//! mail program can open.

use time::{Date, OffsetDateTime};

use crate::config::Config;
use crate::store::{Account, AccountRow, fold, is_of_domain};

/// What lets mail programs and devices into an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Number of app passwords, those included whose last day is over.
    pub(crate) passwords: usize,
    /// Number of app passwords in force.
    pub(crate) in_force: usize,
    /// The nearest last day among those in force.
    pub(crate) next_last_day: Option<Date>,
    /// Whether a device of the configuration uses the account without a password.
    opens_for_device: bool,
}

impl Keys {
    /// Those of a row of the store.
    pub(super) fn of(config: &Config, row: &AccountRow) -> Self {
        let AccountRow { account, passwords, in_force, next_last_day, .. } = row;
        // Asked only where it matters, because a list has many accounts.
        let opens_for_device = *in_force == 0 && has_device(config, account);
        Self { passwords: *passwords, in_force: *in_force, next_last_day: *next_last_day, opens_for_device }
    }

    /// The nearest last day of an app password in force, if it is not after that day.
    pub(crate) fn end_by(&self, at: OffsetDateTime) -> Option<Date> {
        self.next_last_day.filter(|day| *day <= at.date())
    }

    /// Whether no mail program and no device gets in, because no app password is in force.
    pub(crate) fn open_for_none(&self) -> bool {
        self.in_force == 0 && !self.opens_for_device
    }
}

/// Whether a device of the configuration sends as that account, or as an address of the domain that it serves.
fn has_device(config: &Config, account: &Account) -> bool {
    let devices = config.listeners.iter().flat_map(|listener| &listener.access.devices);
    let mut names = devices.map(|device| fold(&device.account));
    names.any(|name| {
        let is_it = |other: &String| fold(other) == name;
        let is_below = is_of_domain(&account.name) && name.as_str().ends_with(fold(&account.name).as_str());
        is_below || is_it(&account.name) || account.aliases.iter().any(is_it)
    })
}
