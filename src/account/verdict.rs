//! What a login comes to.

use std::time::Duration;

use time::Date;

use super::{Found, SessionGuard};
use crate::protocol::Door;
use crate::store::{Account, AppPassword, Grant, Mailbox};

/// What a login comes to.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right.
    Admitted(Box<Admitted>),
    /// The password is right, and does not open the account this way; the client may be told why.
    Barred(Barred),
    /// Unknown account or wrong password; the client does not learn which.
    Refused {
        /// For the log alone: the name of the app password that would have been right, had it come from a
        /// network that it is limited to. The client is answered as if there were no such password.
        elsewhere: Option<String>,
    },
    /// Too many failures from this address for this name: not even looked at.
    Throttled(Duration),
    /// It would not be, or was not, verified in time; a second try may find what came of it.
    Busy,
}

/// What stands between a right password and the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred {
    /// The name that the account is stored under.
    pub account: String,
    /// The name of the app password.
    pub password: String,
    /// What stands between.
    pub by: Bar,
}

/// Why a right password does not open the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The account lets no mail program in until it is enabled again.
    Disabled,
    /// The app password's last day was this one.
    Ended(Date),
    /// The app password is limited to other doors: the names of those, and of the one that was tried.
    Door(Vec<&'static str>),
    /// It came in cleartext over a network, and would open more than the door of this name.
    Exposed(&'static str),
}

/// A login whose password is right.
#[derive(Debug)]
pub struct Admitted {
    /// The account.
    pub account: Account,
    /// Its grant, where it has one.
    pub grant: Option<Grant>,
    /// Which of its mailboxes was asked for.
    pub mailbox: Mailbox,
    /// The name of the app password that was used; a device has none.
    pub password_name: Option<String>,
    /// Counts it among the sessions.
    pub session: SessionGuard,
}

impl Barred {
    /// What stands between a right password and the account that was found, if anything does.
    pub(super) fn of(
        found: &Found,
        used: &AppPassword,
        door: Door,
        exposed: bool,
        today: Date,
    ) -> Option<Self> {
        let by = if found.record.account.disabled {
            Bar::Disabled
        } else if let Some(last) = used.limits.ended(today) {
            Bar::Ended(last)
        } else if used.limits.opens(door.name()) {
            if !exposed || used.limits.opens_only(door.name()) {
                return None;
            }
            Bar::Exposed(door.name())
        } else {
            let would_open = |other: &Door| *other == door || used.limits.opens(other.name());
            Bar::Door(Door::ALL.into_iter().filter(would_open).map(Door::name).collect())
        };
        let account = match &found.mailbox {
            Mailbox::Own => &found.record.account.name,
            Mailbox::OfDomain(_) => found.key.as_str(),
        };
        Some(Self { account: account.to_owned(), password: used.name.clone(), by })
    }
}
