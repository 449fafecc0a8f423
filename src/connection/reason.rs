//! Why a login did not succeed, as one word of a closed list.

use crate::account::{Bar, DeviceBar};
use crate::metrics::Outcome;
use crate::protocol::Refusal;
use crate::text::words;
use crate::token::TokenFailure;
use crate::upstream::DialError;

words! {
    /// Why a login did not succeed: a closed list, described in docs/operations.md.
    pub Reason {
        /// Unknown account or wrong password.
        WrongPassword = "wrong_password",
        /// Too many failed logins came before: the password was not checked.
        TooManyFailures = "too_many_failures",
        /// The password is right, and limited to networks that the client is not in; the client is told that it is wrong.
        WrongNetwork = "wrong_network",
        /// The app password does not open this door, or came in cleartext although it opens other doors too.
        WrongDoor = "wrong_door",
        /// The app password's last day is over.
        PasswordEnded = "password_ended",
        /// The account is disabled.
        Disabled = "disabled",
        /// The device has sent the most messages that it may send in an hour.
        DeviceLimit = "device_limit",
        /// A person has to authorise the account.
        NeedsAuthorization = "needs_authorization",
        /// An administrator has to change the configuration.
        Misconfigured = "misconfigured",
        /// The provider's token endpoint cannot be reached or does not answer as it should.
        NoToken = "no_token",
        /// The provider's mail server cannot be reached.
        Unreachable = "unreachable",
        /// The provider's mail server has a failure that passes.
        ProviderUnavailable = "provider_unavailable",
        /// The provider's mail server or its token endpoint did not answer in time.
        ProviderSilent = "provider_silent",
        /// The account has reached a limit of the provider.
        ProviderLimit = "provider_limit",
        /// The provider does not open the mailbox.
        ProviderRefused = "provider_refused",
        /// The account has as many sessions as its provider allows.
        AccountLimit = "account_limit",
        /// A new connection had taken the place of this one.
        Displaced = "displaced",
        /// Too many passwords wait to be verified.
        Busy = "busy",
        /// The store or the key of this machine failed.
        Store = "store",
        /// The connection ended before the answer: the client left or does not read, or the proxy stopped.
        Interrupted = "interrupted",
    }
}

impl Reason {
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
