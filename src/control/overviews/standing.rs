//! How an account stands, as the list and the account's page show it, and how urgent that is.
//!
//! The state of an account in JSON is that of its grant and its mailbox alone. A person who looks at the page wants to know
//! more: an account without a password in force opens for no mail program, however good its grant is, and one whose
//! messages are refused after the login is of no use for sending. Invariant: an account has one standing, and its urgency
//! follows from that standing and from the ends that are known.

use time::{Duration, OffsetDateTime};

use crate::control::grants::{Overview, State};
use crate::store::GrantState;
use crate::text::words;
use crate::trouble::{CauseKind, Cure};

/// A certain end within this time is shown beside what needs a person: time to reach the person who has to act.
pub(crate) const SOON: Duration = Duration::days(14);

words! {
    /// How an account stands, in the order of a filter. The word is in addresses of the page; where a state in JSON means
    /// the same, it is that state's word.
    pub(crate) Standing {
        /// Mail programs get in, as far as is known.
        Works = "ok",
        /// A person has to consent.
        NeedsAuthorization = "needs_authorization",
        /// An administrator of the provider's side has to act.
        WaitingForAdministrator = "waiting_for_administrator",
        /// The mail server refuses the mailbox although the token is fresh, and no configuration mends that.
        Refused = "refused",
        /// A key of the configuration has to change.
        Misconfigured = "misconfigured",
        /// It has no app password in force, and no device uses it without one.
        NoPassword = "no_password",
        /// The provider refused something after a login.
        RefusedAfterLogin = "refused_after_login",
        /// The provider does not answer, and is asked again.
        Retrying = "retrying",
        Disabled = "disabled",
    }
}

impl Standing {
    pub(crate) fn of(overview: &Overview) -> Self {
        match overview.state {
            State::Disabled => Self::Disabled,
            State::Of(GrantState::NeedsAuthorization) => Self::NeedsAuthorization,
            State::Of(GrantState::WaitingForAdministrator) => Self::WaitingForAdministrator,
            State::Of(GrantState::Misconfigured) if is_for_configuration(overview) => Self::Misconfigured,
            State::Of(GrantState::Misconfigured) => Self::Refused,
            State::Of(GrantState::Ok | GrantState::Retrying) if overview.keys.open_for_none() => {
                Self::NoPassword
            }
            State::Of(GrantState::Ok | GrantState::Retrying) if overview.account.refusal.is_some() => {
                Self::RefusedAfterLogin
            }
            State::Of(GrantState::Ok) => Self::Works,
            State::Of(GrantState::Retrying) => Self::Retrying,
        }
    }
}

/// Whether a key of the configuration mends the account. A mail server that refuses a mailbox is in the same state, and
/// there a person at the provider has to act.
fn is_for_configuration(overview: &Overview) -> bool {
    overview.trouble.as_ref().is_none_or(|trouble| {
        let by_cure = matches!(trouble.cure, Cure::Configure { .. });
        by_cure
            || matches!(
                trouble.cause.kind,
                CauseKind::ClientRefused | CauseKind::ProviderUnknown | CauseKind::Recorded
            )
    })
}

/// The urgency of an account, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// A person signs in, or an administrator of the provider's side acts.
    NeedsPerson,
    /// A key of the configuration mends it, often of many accounts at once; so these come after the others.
    Misconfigured,
    /// A new app password mends it.
    NoPassword,
    /// Mail programs log in, and are refused something afterwards.
    RefusedAfterLogin,
    /// The grant, or an app password, certainly ends within [`SOON`].
    EndsSoon,
    None,
}

impl Urgency {
    /// Whether it is counted among the accounts that need a person.
    pub(super) fn needs_person(self) -> bool {
        matches!(self, Self::NeedsPerson | Self::Misconfigured)
    }

    /// Whether something is wrong now.
    pub(super) fn is_wrong(self) -> bool {
        self < Self::EndsSoon
    }

    pub(super) fn of(overview: &Overview, now: OffsetDateTime) -> Self {
        match Standing::of(overview) {
            Standing::NeedsAuthorization | Standing::WaitingForAdministrator | Standing::Refused => {
                Self::NeedsPerson
            }
            Standing::Misconfigured => Self::Misconfigured,
            Standing::NoPassword => Self::NoPassword,
            Standing::RefusedAfterLogin => Self::RefusedAfterLogin,
            Standing::Works | Standing::Retrying | Standing::Disabled => {
                match overview.ends_alone_by(now.saturating_add(SOON)) {
                    true => Self::EndsSoon,
                    false => Self::None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_states_are_those_of_json() {
        for (standing, state) in [
            (Standing::Works, GrantState::Ok),
            (Standing::NeedsAuthorization, GrantState::NeedsAuthorization),
            (Standing::WaitingForAdministrator, GrantState::WaitingForAdministrator),
            (Standing::Misconfigured, GrantState::Misconfigured),
            (Standing::Retrying, GrantState::Retrying),
        ] {
            assert_eq!(standing.word(), state.name());
        }
    }
}
