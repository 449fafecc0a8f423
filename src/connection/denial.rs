//! The answer to a mail program for each way in which a login can fail (RFC 5530).
//!
//! AUTHENTICATIONFAILED makes mail programs ask for another password, so it means a wrong password only. `[ALERT]`
//! makes them show the text, so it is for causes on which the user has to act.
//!
//! A text about a temporary cause contains the word "wait". Without that word, fetchmail takes an `-ERR` before the
//! login for a wrong password, and mails the user about it.

use std::time::Duration;

use crate::account::{Bar, Barred, DeviceBar, StoreError};
use crate::command;
use crate::config::{Endpoint, Provider};
use crate::protocol::{Code, Denial, Door};
use crate::token::TokenFailure;
use crate::trouble::{Cause, Trouble};
use crate::upstream::DialError;

/// Before and after the login.
pub(super) const STOPPING: &str = "The mail proxy is stopping; wait a moment and reconnect";

pub(super) fn throttled(wait: Duration) -> Denial {
    let seconds = wait.as_secs().max(1);
    Denial::new(
        Code::Limit,
        format!("Too many failed logins from this address; wait {seconds} s and check the password"),
    )
}

/// The password was right, so the client may learn cause and cure. Another password helps only if this one has
/// ended; the code is then EXPIRED.
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
        Bar::Exposed(only) => {
            let create = command::create_password_for(account, only);
            let cause = format!(
                "The app password {password} of {account} opens more than {}, and was sent in clear",
                door.title()
            );
            (Code::ContactAdmin, format!("{cause}: revoke it, and run {create}"))
        }
    };
    Denial::new(code, text).alert()
}

/// Why the account called `account` is closed to a device, for the device and the log.
pub(super) fn device(bar: DeviceBar, account: &str, messages_per_hour: u32) -> Denial {
    let text = match bar {
        DeviceBar::NoAccount => {
            let authorize = command::authorize_account(account);
            format!(
                "There is no account {account} in the mail proxy, which this address stands for; run {authorize}"
            )
        }
        DeviceBar::OfDomain => {
            let authorize = command::authorize_account(account);
            format!(
                "A device needs an account of its own, and {account} is only one of its domain's; run {authorize}"
            )
        }
        DeviceBar::Disabled => {
            let enable = command::enable(account);
            format!("The account {account} is disabled in the mail proxy; run {enable}")
        }
        DeviceBar::NoPassword => {
            let create = command::create_password(account);
            format!(
                "The account {account} is an application's and has no app password, which closes it; run {create}"
            )
        }
        DeviceBar::TooMany(wait) | DeviceBar::TooOften(wait) => {
            let minutes = wait.whole_minutes().max(0) + 1;
            let cause = match bar {
                DeviceBar::TooMany(_) => format!(
                    "sent {messages_per_hour} messages within an hour, as many as messages_per_hour allows"
                ),
                _ => format!(
                    "begun far more sessions within an hour than the {messages_per_hour} messages that it may send"
                ),
            };
            return Denial::new(Code::Limit, format!("This device has {cause}; try again in {minutes} min"));
        }
    };
    Denial::new(Code::ContactAdmin, text)
}

pub(super) fn store_failed(error: &StoreError) -> Denial {
    let text = match error {
        StoreError::Away(_) => {
            "The mail proxy does not reach its database; nothing is lost, wait and try again in a moment"
        }
        StoreError::Full => {
            "The disk of the mail proxy's store is full; nothing is lost, wait and try again once there is room"
        }
        _ => {
            let text = "The mail proxy cannot read its store; its log says why, and a login has to wait";
            return Denial::new(Code::ServerBug, text);
        }
    };
    Denial::new(Code::Unavailable, text)
}

pub(super) fn busy() -> Denial {
    Denial::new(
        Code::Unavailable,
        "The mail proxy is busy verifying passwords; wait and try again in a moment",
    )
}

/// The greeting of a connection beyond the limit.
pub(super) fn full() -> Denial {
    Denial::new(Code::Limit, "Too many connections; close some, or wait and try again in a moment")
}

/// The answer to a mail program that waits for a cleartext greeting, or speaks cleartext.
pub(super) fn tls_only() -> Denial {
    Denial::new(Code::PrivacyRequired, "This port speaks TLS; set the connection security to SSL/TLS")
}

/// The greeting where the client's cleartext crossed the network to a load balancer.
pub(super) fn in_clear() -> Denial {
    Denial::new(
        Code::PrivacyRequired,
        "No password is read here without TLS; set the connection security to SSL/TLS",
    )
}

pub(super) fn silent_provider(provider: &Provider, server: &Endpoint, has_token: bool) -> Denial {
    let title = &provider.title;
    let text = match has_token {
        true => format!("{title}'s mail server ({server}) did not answer in time; wait and try again later"),
        false => format!("{title}'s sign-in service did not answer in time; wait and try again later"),
    };
    Denial::new(Code::Unavailable, text)
}

/// The denial for a temporary cause, whose text gets the word "wait" if it lacks it.
fn passing(text: &str) -> Denial {
    let wait = if text.contains("wait") { "" } else { "; wait and try again later" };
    Denial::new(Code::Unavailable, format!("{text}{wait}"))
}

pub(super) fn too_late() -> Denial {
    Denial::new(Code::Unavailable, "The login took too long; wait and try again")
}

pub(super) fn stopping() -> Denial {
    Denial::new(Code::Unavailable, STOPPING)
}

pub(super) fn too_many_sessions(limit: u32) -> Denial {
    let open = match limit {
        1 => "a session open already, and its provider allows one at a time".to_owned(),
        limit => format!("{limit} connections open, as many as its provider allows"),
    };
    Denial::new(Code::InUse, format!("This account has {open}; close other mail programs or try again later"))
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
        TokenFailure::Unavailable(_) => passing(&line()),
        TokenFailure::Local(_) => {
            Denial::new(Code::ServerBug, format!("The mail proxy has a problem: {}", line()))
        }
    }
}

/// The text for an account that needs a person's consent at `link`. The link comes first, with blanks around it, so
/// that a double click selects it. If the line gets too long, the cause is left out, and then the command.
pub(super) fn sign_in_again(link: &str, authorize: &str, cause: &str) -> Denial {
    let shortest = format!("Sign in again: {link}");
    let shorter = format!("{shortest} (or run: {authorize})");
    let text = format!("{shorter}: {cause}");
    Denial { shorter: vec![shorter, shortest], ..Denial::new(Code::Expired, text).alert() }
}

/// The command comes first, because many mail programs show only the beginning of a line in a status bar. Blanks
/// around the command allow copying it with a double click.
fn cure_first(trouble: &Trouble, authorize: &str) -> String {
    match trouble.cure.is_plain_authorize() {
        true => format!("Run {authorize} : {}", trouble.cause),
        false => format!("Run {authorize} : {}", trouble.line(authorize)),
    }
}

pub(super) fn not_dialled(error: &DialError) -> Denial {
    match error.is_transient() {
        true => passing(&error.to_string()),
        false => Denial::new(Code::ContactAdmin, error.to_string()).alert(),
    }
}
