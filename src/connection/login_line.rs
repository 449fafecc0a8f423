//! The login line: one line in the log for each login attempt, at every door and with every outcome.
//!
//! Its fields, their order and their quoting are a contract with fail2ban, CrowdSec and other readers of logs
//! (docs/operations.md), so only this file writes it:
//!
//! ```text
//! login result=refused protocol=imap account=a@b from=192.0.2.7 password=- fingerprint=1a2b3c4d client="…" provider=- ms=512 reason=wrong_password
//! ```
//!
//! A client's name cannot add a field or end the line: it is reduced to few characters. A fault of the provider or
//! the network is `failed`, never `refused`, so that no outage can lead to a ban of the client's address. If the
//! connection ends before the answer, the line is still written: when [`LoginLine`] is dropped.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{DisplayValue, display};
use tracing::{Value, info, warn};

use crate::account::{Bar, DeviceBar};
use crate::metrics::{Metrics, Outcome};
use crate::protocol::{Denial, Door, Refusal};
use crate::token::TokenFailure;
use crate::upstream::DialError;

/// The value of an empty field.
const ABSENT: &str = "-";
/// Characters of a name that are kept.
const NAME_LIMIT: usize = 64;

/// Why a login did not succeed: a closed list, documented in docs/operations.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Unknown account or wrong password.
    WrongPassword,
    /// Too many wrong passwords came before: this password was not checked.
    TooManyFailures,
    /// The password is right, and limited to networks that the client is not in; the client is told that it is wrong.
    WrongNetwork,
    /// The app password does not open this door, or opens more than a password sent in cleartext may open.
    WrongDoor,
    /// The app password's last day is over.
    PasswordEnded,
    /// The account is disabled.
    Disabled,
    /// The device has sent as many messages within the hour as its limit allows.
    DeviceLimit,
    /// A person has to authorise the account.
    NeedsAuthorization,
    /// An administrator has to change the configuration.
    Misconfigured,
    /// The provider's token endpoint cannot be reached or does not answer as it should.
    NoToken,
    /// The provider's mail server cannot be reached.
    Unreachable,
    /// The provider's mail server has a temporary failure.
    ProviderUnavailable,
    /// The provider's mail server or its token endpoint did not answer in time.
    ProviderSilent,
    /// The provider's limit for the account is reached for now.
    ProviderLimit,
    /// The provider does not open the mailbox.
    ProviderRefused,
    /// The account has as many sessions as its provider allows.
    AccountLimit,
    /// A newer connection took this connection's place.
    Displaced,
    /// Too many passwords wait to be verified.
    Busy,
    /// The store or this machine's master key failed.
    Store,
    /// The connection ended before the answer: the client left or does not read, or the proxy stopped.
    Interrupted,
}

impl Reason {
    /// All reasons.
    pub const ALL: &[Self] = &[
        Self::WrongPassword,
        Self::TooManyFailures,
        Self::WrongNetwork,
        Self::WrongDoor,
        Self::PasswordEnded,
        Self::Disabled,
        Self::DeviceLimit,
        Self::NeedsAuthorization,
        Self::Misconfigured,
        Self::NoToken,
        Self::Unreachable,
        Self::ProviderUnavailable,
        Self::ProviderSilent,
        Self::ProviderLimit,
        Self::ProviderRefused,
        Self::AccountLimit,
        Self::Displaced,
        Self::Busy,
        Self::Store,
        Self::Interrupted,
    ];

    /// The word in the login line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::TooManyFailures => "too_many_failures",
            Self::WrongNetwork => "wrong_network",
            Self::WrongDoor => "wrong_door",
            Self::PasswordEnded => "password_ended",
            Self::Disabled => "disabled",
            Self::DeviceLimit => "device_limit",
            Self::NeedsAuthorization => "needs_authorization",
            Self::Misconfigured => "misconfigured",
            Self::NoToken => "no_token",
            Self::Unreachable => "unreachable",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderSilent => "provider_silent",
            Self::ProviderLimit => "provider_limit",
            Self::ProviderRefused => "provider_refused",
            Self::AccountLimit => "account_limit",
            Self::Displaced => "displaced",
            Self::Busy => "busy",
            Self::Store => "store",
            Self::Interrupted => "interrupted",
        }
    }

    /// `refused` only if the cause is the password or a limit that its owner set.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::WrongPassword
            | Self::TooManyFailures
            | Self::WrongNetwork
            | Self::WrongDoor
            | Self::PasswordEnded
            | Self::Disabled => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }
}

impl From<&Bar> for Reason {
    fn from(bar: &Bar) -> Self {
        match bar {
            Bar::Disabled => Self::Disabled,
            Bar::Ended(_) => Self::PasswordEnded,
            Bar::Door(_) | Bar::Exposed(_) => Self::WrongDoor,
        }
    }
}

impl From<DeviceBar> for Reason {
    fn from(bar: DeviceBar) -> Self {
        match bar {
            DeviceBar::NoAccount | DeviceBar::OfDomain | DeviceBar::NoPassword => Self::Misconfigured,
            DeviceBar::Disabled => Self::Disabled,
            DeviceBar::TooMany(_) => Self::DeviceLimit,
        }
    }
}

impl From<&TokenFailure> for Reason {
    fn from(failure: &TokenFailure) -> Self {
        match failure {
            TokenFailure::NeedsAuthorization(_) => Self::NeedsAuthorization,
            TokenFailure::Misconfigured(_) => Self::Misconfigured,
            TokenFailure::Unavailable(_) => Self::NoToken,
            TokenFailure::Local(_) => Self::Store,
        }
    }
}

impl From<&DialError> for Reason {
    fn from(error: &DialError) -> Self {
        if error.is_transient() { Self::Unreachable } else { Self::Misconfigured }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Token(_) | Refusal::Disabled(_) | Refusal::WebLogin { .. } => Self::ProviderRefused,
            Refusal::Connections(_) | Refusal::Throttled { .. } => Self::ProviderLimit,
            Refusal::Unavailable(_) | Refusal::Violation { .. } | Refusal::Closed | Refusal::Io(_) => {
                Self::ProviderUnavailable
            }
            Refusal::NoCommonMechanism(_) | Refusal::PasswordsOnly(_) | Refusal::Credential(_) => {
                Self::Misconfigured
            }
            // A fault of the proxy: no login waits.
            Refusal::NotAsked => Self::Interrupted,
        }
    }
}

/// A login that does not succeed: the client's answer, and the reason for the log.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) reason: Reason,
}

impl Denied {
    pub(super) fn new(reason: Reason, denial: Denial) -> Self {
        Self { denial, reason }
    }
}

/// The login line of one attempt, written when it is dropped.
pub(super) struct LoginLine {
    metrics: Arc<Metrics>,
    door: Door,
    account: String,
    from: IpAddr,
    client: Option<String>,
    came: Instant,
    /// Known once the password was right.
    pub(super) provider: Option<String>,
    /// The name of the app password.
    pub(super) password: Option<String>,
    /// The fingerprint of a wrong password.
    pub(super) fingerprint: Option<String>,
    /// Why there is no session; `None` on success.
    ended: Option<Reason>,
}

impl LoginLine {
    /// The line of a new attempt. `name` comes from the client.
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        door: Door,
        name: &str,
        from: IpAddr,
        client: Option<&str>,
    ) -> Self {
        Self {
            metrics: metrics.clone(),
            door,
            account: reduced(name),
            from: from.to_canonical(),
            client: client.map(str::to_owned),
            came: Instant::now(),
            provider: None,
            password: None,
            fingerprint: None,
            ended: Some(Reason::Interrupted),
        }
    }

    /// Notes the client's answer: it has a session, or the reason why not.
    pub(super) fn ended(&mut self, why: Option<Reason>) {
        self.ended = why;
    }

    fn write(&self, took: Duration) {
        let outcome = self.ended.map_or(Outcome::Ok, Reason::outcome);
        self.metrics.login(self.door, self.provider.as_deref(), outcome, took);
        let (result, reason) = (outcome.word(), self.ended.map_or(ABSENT, Reason::word));
        let protocol = self.door.name();
        let account = plain(Some(&self.account));
        let password = reduced_or_absent(self.password.as_deref());
        let fingerprint = plain(self.fingerprint.as_deref());
        let provider = reduced_or_absent(self.provider.as_deref());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let absent = display(ABSENT);
        // A string value is quoted, with \" and \\; a displayed value is not.
        let client: &dyn Value = match &self.client {
            Some(client) => &client.as_str(),
            None => &absent,
        };
        macro_rules! write_line {
            ($level:ident) => {
                $level!(
                    result = %result,
                    protocol = %protocol,
                    account,
                    from = %self.from,
                    password = %password,
                    fingerprint,
                    client,
                    provider = %provider,
                    ms,
                    reason = %reason,
                    "login"
                )
            };
        }
        match outcome {
            Outcome::Ok => write_line!(info),
            Outcome::Refused | Outcome::Failed => write_line!(warn),
        }
    }
}

impl Drop for LoginLine {
    fn drop(&mut self) {
        self.write(self.came.elapsed());
    }
}

fn plain(text: Option<&str>) -> DisplayValue<&str> {
    display(text.filter(|text| !text.is_empty()).unwrap_or(ABSENT))
}

fn reduced_or_absent(text: Option<&str>) -> String {
    text.map(reduced).filter(|text| !text.is_empty()).unwrap_or_else(|| ABSENT.to_owned())
}

/// Text from a client or an administrator, reduced for a field without quotes.
fn reduced(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@._+-".contains(c) { c } else { '?' };
    text.chars().take(NAME_LIMIT).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_field_or_end_the_line() {
        assert_eq!(reduced("a+b@corp-x.example"), "a+b@corp-x.example");
        assert_eq!(reduced("a from=8.8.8.8\r\nlogin \"é"), "a?from?8.8.8.8??login???");
        assert_eq!(reduced(&"é".repeat(100)).len(), NAME_LIMIT);
        assert_eq!((reduced_or_absent(Some("")), reduced_or_absent(None)), ("-".to_owned(), "-".to_owned()));
    }

    #[test]
    fn the_page_for_operators_tells_each_reason_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let (_, rest) = page.split_once("<!-- reasons -->").unwrap();
        let (table, _) = rest.split_once("<!-- end -->").unwrap();
        let told: Vec<(&str, &str)> = table
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                let word = cells.next()?.trim_end_matches('`');
                Some((word, cells.next()?))
            })
            .collect();
        let known: Vec<(&str, &str)> =
            Reason::ALL.iter().map(|reason| (reason.word(), reason.outcome().word())).collect();
        assert_eq!(told, known);
    }
}
