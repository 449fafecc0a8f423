//! What a mail program is told, for every way in which a login can fail (RFC 5530).
//!
//! AUTHENTICATIONFAILED makes mail programs ask for another password, so it stands for a wrong
//! password alone. `[ALERT]` makes them show the text, so it is for what the person has to act on.

use std::time::Duration;

use crate::account::{Bar, Barred};
use crate::command;
use crate::config::{Endpoint, Provider};
use crate::protocol::{Code, Denial, Door};
use crate::token::TokenFailure;
use crate::trouble::{Cause, Trouble};
use crate::upstream::DialError;

/// Before and after the login.
pub(super) const STOPPING: &str = "The mail proxy is stopping; reconnect in a moment";

pub(super) fn throttled(wait: Duration) -> Denial {
    let seconds = wait.as_secs().max(1);
    Denial::new(
        Code::Limit,
        format!("Too many failed logins from this address; wait {seconds} s and check the password"),
    )
}

/// The password was right, so cause and cure may be told. Another one helps only where this one has ended, which
/// EXPIRED says.
pub(super) fn barred(barred: &Barred, door: Door) -> Denial {
    let Barred { account, password, by } = barred;
    let (code, text) = match by {
        Bar::Disabled => {
            let enable = command::enable(account);
            (Code::ContactAdmin, format!("The account {account} is disabled in the mail proxy; run {enable}"))
        }
        Bar::Ended(day) => {
            let prolong = command::prolong(account, password);
            let cause = format!("The app password {password} of {account} ended on {day}");
            (Code::Expired, format!("{cause}; use another one, or run {prolong}"))
        }
        Bar::Door(doors) => {
            let open = command::open_doors(account, password, doors);
            let cause = format!("The app password {password} of {account} does not open {}", door.title());
            (Code::ContactAdmin, format!("{cause}; run {open}"))
        }
    };
    Denial::new(code, text).alert()
}

pub(super) fn store_failed() -> Denial {
    Denial::new(Code::ServerBug, "The mail proxy cannot read its store; its log says why")
}

pub(super) fn busy() -> Denial {
    Denial::new(Code::Unavailable, "The mail proxy is busy verifying passwords; try again in a moment")
}

/// For the greeting of a connection that is one too many.
pub(super) fn full() -> Denial {
    Denial::new(Code::Limit, "Too many connections; close some, or try again in a moment")
}

/// For a mail program that waits for a greeting in cleartext, or speaks in it.
pub(super) fn tls_only() -> Denial {
    Denial::new(Code::PrivacyRequired, "This port speaks TLS; set the connection security to SSL/TLS")
}

pub(super) fn silent_provider(provider: &Provider, server: &Endpoint, has_token: bool) -> Denial {
    let title = &provider.title;
    let text = match has_token {
        true => format!("{title}'s mail server ({server}) did not answer in time; try again later"),
        false => format!("{title}'s sign-in service did not answer in time; try again later"),
    };
    Denial::new(Code::Unavailable, text)
}

pub(super) fn too_late() -> Denial {
    Denial::new(Code::Unavailable, "The login took too long; try again")
}

pub(super) fn stopping() -> Denial {
    Denial::new(Code::Unavailable, STOPPING)
}

pub(super) fn too_many_sessions(limit: u32) -> Denial {
    Denial::new(
        Code::InUse,
        format!(
            "This account has {limit} connections open, as many as its provider allows; close other mail programs or try again later"
        ),
    )
}

pub(super) fn unknown_provider(cause: &Cause) -> Denial {
    Denial::new(Code::ContactAdmin, format!("The mail proxy has a problem: {cause}")).alert()
}

/// `authorize` is the command that authorises the account again.
pub(super) fn no_token(failure: &TokenFailure, authorize: &str) -> Denial {
    let line = || failure.trouble().line(authorize);
    match failure {
        TokenFailure::NeedsAuthorization(trouble) => {
            Denial::new(Code::Expired, cure_first(trouble, authorize)).alert()
        }
        TokenFailure::Misconfigured(_) => Denial::new(Code::ContactAdmin, line()).alert(),
        TokenFailure::Unavailable(_) => Denial::new(Code::Unavailable, line()),
        TokenFailure::Local(_) => {
            Denial::new(Code::ServerBug, format!("The mail proxy has a problem: {}", line()))
        }
    }
}

/// Many mail programs show the beginning of a line in a status bar, so the command stands there, with
/// blanks around it, so that it can be copied with a double click.
fn cure_first(trouble: &Trouble, authorize: &str) -> String {
    match trouble.cure.is_plain_authorize() {
        true => format!("Run {authorize} : {}", trouble.cause),
        false => format!("Run {authorize} : {}", trouble.line(authorize)),
    }
}

pub(super) fn not_dialled(error: &DialError) -> Denial {
    match error.is_transient() {
        true => Denial::new(Code::Unavailable, error.to_string()),
        false => Denial::new(Code::ContactAdmin, error.to_string()).alert(),
    }
}
