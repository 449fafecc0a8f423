//! The outcome of a login.

use std::time::Duration;

use time::Date;

use super::{Found, SessionGuard};
use crate::protocol::Door;
use crate::store::{Account, AppPassword, Grant, Mailbox};

/// The outcome of a login.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right.
    Admitted(Box<Admitted>),
    /// The password is right, but does not open the account at this door or any more; the client may be told
    /// why.
    Barred(Barred),
    /// Unknown account or wrong password; the client does not learn which.
    Refused {
        /// For the log alone: the name of the matching app password, if it is limited to other networks. The
        /// client gets the answer for a wrong password.
        elsewhere: Option<String>,
    },
    /// Too many failures from this address for this name; the password was not verified.
    Throttled(Duration),
    /// The verification was not, or would not be, done in time; a second try may find its result.
    Busy,
}

/// Why a right password was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred {
    /// The name that the account is stored under.
    pub account: String,
    /// The name of the app password.
    pub password: String,
    /// The reason.
    pub by: Bar,
}

/// Why a right password does not open the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The account lets no mail program in until it is enabled again.
    Disabled,
    /// This was the app password's last day.
    Ended(Date),
    /// The app password is limited to other doors: their names, then the name of the door that was tried.
    Door(Vec<&'static str>),
}

/// A login whose password is right.
#[derive(Debug)]
pub struct Admitted {
    /// The account.
    pub account: Account,
    /// The account's grant, if it has one.
    pub grant: Option<Grant>,
    /// The mailbox that the client asked for.
    pub mailbox: Mailbox,
    /// The name of the app password that was used.
    pub password_name: String,
    /// Counts the login among the sessions.
    pub session: SessionGuard,
}

impl Barred {
    /// The reason to refuse a right password, if there is one.
    pub(super) fn of(found: &Found, used: &AppPassword, door: Door, today: Date) -> Option<Self> {
        let by = if found.record.account.disabled {
            Bar::Disabled
        } else if let Some(last) = used.limits.ended(today) {
            Bar::Ended(last)
        } else if used.limits.opens(door.name()) {
            return None;
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
