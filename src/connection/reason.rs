//! Why a login did not succeed, as one word of a closed list.

use crate::account::{Bar, DeviceBar};
use crate::metrics::Outcome;
use crate::protocol::Refusal;
use crate::token::TokenFailure;
use crate::upstream::DialError;

/// Why a login did not succeed: a closed list, described in docs/operations.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Unknown account or wrong password.
    WrongPassword,
    /// Too many failed logins came before: the password was not checked.
    TooManyFailures,
    /// The password is right, and limited to networks that the client is not in; the client is told that it is wrong.
    WrongNetwork,
    /// The app password does not open this door, or came in cleartext although it opens other doors too.
    WrongDoor,
    /// The app password's last day is over.
    PasswordEnded,
    /// The account is disabled.
    Disabled,
    /// The device has sent the most messages that it may send in an hour.
    DeviceLimit,
    /// A person has to authorise the account.
    NeedsAuthorization,
    /// An administrator has to change the configuration.
    Misconfigured,
    /// The provider's token endpoint cannot be reached or does not answer as it should.
    NoToken,
    /// The provider's mail server cannot be reached.
    Unreachable,
    /// The provider's mail server has a failure that passes.
    ProviderUnavailable,
    /// The provider's mail server or its token endpoint did not answer in time.
    ProviderSilent,
    /// The account has reached a limit of the provider.
    ProviderLimit,
    /// The provider does not open the mailbox.
    ProviderRefused,
    /// The account has as many sessions as its provider allows.
    AccountLimit,
    /// A new connection had taken the place of this one.
    Displaced,
    /// Too many passwords wait to be verified.
    Busy,
    /// The store or the key of this machine failed.
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

    /// The word in the line.
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

    /// The outcome is `refused` only if the password is wrong, or its owner has limited it.
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
            DeviceBar::TooMany(_) | DeviceBar::TooOften(_) => Self::DeviceLimit,
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
            // The proxy itself makes this refusal, and never for a login.
            Refusal::NotAsked => Self::Interrupted,
        }
    }
}
