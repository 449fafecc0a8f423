//! What is worth reporting about a grant, and the event that reports it.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::command;
use crate::forecast::EndCause;
use crate::secret::Secret;
use crate::store::{GrantKind, GrantState, GrantStatus, fold};
use crate::text::rfc3339;
use crate::trouble::{CauseKind, Cure, Trouble};

/// The row's mark for a reported approaching end.
const ABOUT_TO: &str = "about_to_need_person";

/// The row's mark for a reported refusal of the client.
const CLIENT: &str = "misconfigured_client";

/// The reason given for a grant that ends unless it is refreshed.
const UNUSED: &str = "it has not been refreshed for long, and the provider ends grants that are not used";

/// A state worth reporting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The grant cannot be used until a person acts.
    NeedsPerson(GrantState),
    /// The provider refuses the client, so none of the provider's grants can be refreshed.
    ClientRefused,
    /// The grant will end on that day.
    AboutTo(OffsetDateTime, EndCause),
    /// The reported trouble is over.
    Healed,
}

impl News {
    /// The state of `grant` that is not reported yet; `end` is a certain end that is near.
    pub(super) fn of(grant: &GrantStatus, end: Option<(OffsetDateTime, EndCause)>) -> Option<Self> {
        // The person who revoked the grant knows it.
        if !grant.in_force && grant.state != GrantState::WaitingForAdministrator {
            return None;
        }
        let told = grant.told.as_deref();
        let news = match (grant.state, end) {
            (GrantState::Misconfigured, _) if is_clients(grant) => Self::ClientRefused,
            (state, _) if state.needs_person() => Self::NeedsPerson(state),
            // A passing failure does not show that the reported trouble is over.
            (GrantState::Retrying, _) if told.is_some() => return None,
            (_, Some((at, cause))) => Self::AboutTo(at, cause),
            (GrantState::Ok, None) if told.is_some() => Self::Healed,
            _ => return None,
        };
        // Earlier versions stored the state's name only.
        let is_told = news.mark() == told
            || (news == Self::ClientRefused && told == Some(GrantState::Misconfigured.name()));
        (!is_told).then_some(news)
    }

    /// Whether a consent of the person who gave `grant` ends the trouble.
    pub(super) fn is_mended_by_consent(&self, grant: &GrantStatus) -> bool {
        let mended = match self {
            Self::NeedsPerson(state) => *state == GrantState::NeedsAuthorization,
            Self::AboutTo(_, cause) => matches!(cause, EndCause::Granted | EndCause::Disuse),
            Self::ClientRefused | Self::Healed => false,
        };
        let in_browser = |trouble: &Trouble| !matches!(trouble.cure, Cure::Authorize { way: Some(_), .. });
        mended && grant.kind == GrantKind::Person && grant.trouble.as_ref().is_none_or(in_browser)
    }

    /// The mark in the row once this is reported.
    pub(super) fn mark(&self) -> Option<&'static str> {
        match self {
            Self::NeedsPerson(state) => Some(state.name()),
            Self::ClientRefused => Some(CLIENT),
            Self::AboutTo(..) => Some(ABOUT_TO),
            Self::Healed => None,
        }
    }
}

/// Whether the trouble of `grant` is the client's.
fn is_clients(grant: &GrantStatus) -> bool {
    grant.trouble.as_ref().is_some_and(|Trouble { cause, cure }| {
        let keys = ["client_secret", "client_id", "client_assertion_file"];
        let of_client = cure.key().is_some_and(|key| keys.iter().any(|of_client| key.ends_with(of_client)));
        cause.kind == CauseKind::ClientRefused
            && (of_client || cause.code.as_deref() == Some("invalid_client"))
    })
}

/// Whether the client's refusal was reported and still affects `grant`.
pub(super) fn is_told_of_client(grant: &GrantStatus) -> bool {
    was_told_of_client(grant) && grant.state == GrantState::Misconfigured
}

/// Whether the client's refusal was the last report about `grant`.
pub(super) fn was_told_of_client(grant: &GrantStatus) -> bool {
    grant.told.as_deref() == Some(CLIENT)
}

/// Whether `grant` works again after the client's refusal was reported.
pub(super) fn has_healed_of_client(grant: &GrantStatus) -> bool {
    was_told_of_client(grant) && grant.state == GrantState::Ok
}

/// The content of a delivery.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) event: &'static str,
    /// The owner's own account if there is one. With several grants, the first grant's.
    pub(super) account: String,
    /// All affected accounts, each once.
    pub(super) accounts: BTreeSet<String>,
    owner: String,
    provider: String,
    state: GrantState,
    pub(super) reason: Option<String>,
    cure: Option<String>,
    /// Where the account's person consents again, if a consent mends the account.
    #[serde(serialize_with = "exposed", skip_serializing_if = "Option::is_none")]
    pub(super) sign_in_url: Option<Secret>,
    at: Option<String>,
}

/// An event goes to people who may open the link, so it holds the link in cleartext.
fn exposed<S: Serializer>(link: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    link.as_ref().map(Secret::expose).serialize(to)
}

impl Event {
    pub(super) fn new(grant: &GrantStatus, news: &News, now: OffsetDateTime) -> Self {
        let own = grant.accounts.iter().find(|name| fold(name) == fold(&grant.owner));
        let account = own.or(grant.accounts.first()).unwrap_or(&grant.owner).clone();
        let authorize = command::authorize_again(grant, &account);
        let (event, reason, cure) = match news {
            News::NeedsPerson(_) | News::ClientRefused => {
                let state = &grant.state;
                let trouble = grant.trouble.as_ref();
                let reason = trouble.map_or("the provider refused it", |trouble| trouble.cause.text.as_str());
                let cure = match (state, trouble.map(|trouble| trouble.cure.words(&authorize))) {
                    (GrantState::NeedsAuthorization, _) => authorize,
                    (_, Some(cure)) if !cure.is_empty() => cure,
                    _ => format!("{} says more", command::LIST),
                };
                ("needs_person", Some(reason.to_owned()), Some(cure))
            }
            News::AboutTo(at, cause) => {
                let (why, cure) = match cause {
                    EndCause::ClientSecret => {
                        let cure = "make a new client secret and set it in";
                        ("the client secret ends then", format!("{cure} [providers.{}]", grant.provider))
                    }
                    EndCause::Granted => ("the provider granted access until then", authorize),
                    _ => (UNUSED, authorize),
                };
                (ABOUT_TO, Some(format!("it ends on {}: {why}", at.date())), Some(cure))
            }
            News::Healed => ("healed", None, None),
        };
        Self {
            event,
            account,
            accounts: grant.accounts.iter().cloned().collect(),
            owner: grant.owner.clone(),
            provider: grant.provider.clone(),
            state: grant.state,
            reason,
            cure,
            sign_in_url: None,
            at: Some(rfc3339(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Provider};
    use crate::forecast;
    use crate::store::{Id, any_date};

    fn grant(state: GrantState, told: Option<&str>) -> GrantStatus {
        let cure = Cure::configure("client_secret", "set client_secret for acme");
        let cause = "the secret is wrong (invalid_client, HTTP 401)";
        GrantStatus {
            id: Id("grant".into()),
            kind: GrantKind::Person,
            provider: "acme".into(),
            owner: "Bob@corp.example".into(),
            state,
            trouble: Some(Trouble::new(CauseKind::ClientRefused, cause, cure)),
            in_force: true,
            access_expires_at: None,
            renewed_at: OffsetDateTime::UNIX_EPOCH,
            refresh_expires_at: None,
            failed_at: None,
            retry_at: None,
            last_login_at: None,
            accounts: vec!["shared@corp.example".into()],
            told: told.map(str::to_owned),
            look: 0,
        }
    }

    #[test]
    fn each_change_is_told_once() {
        use GrantState::{Misconfigured, NeedsAuthorization, Ok, Retrying, WaitingForAdministrator};
        let end = || Some((OffsetDateTime::UNIX_EPOCH, EndCause::Disuse));
        let about_to = || Some(News::AboutTo(OffsetDateTime::UNIX_EPOCH, EndCause::Disuse));
        for (state, told, end, news) in [
            (Ok, None, None, None),
            (NeedsAuthorization, None, None, Some(News::NeedsPerson(NeedsAuthorization))),
            (NeedsAuthorization, Some("needs_authorization"), end(), None),
            (Misconfigured, Some("needs_authorization"), None, Some(News::ClientRefused)),
            (Misconfigured, Some("misconfigured"), None, None),
            (Retrying, Some("misconfigured"), end(), None),
            (Retrying, None, end(), about_to()),
            (Ok, Some("misconfigured"), None, Some(News::Healed)),
            (Ok, None, end(), about_to()),
            (Ok, Some(ABOUT_TO), end(), None),
            (Ok, Some(ABOUT_TO), None, Some(News::Healed)),
            (WaitingForAdministrator, None, None, Some(News::NeedsPerson(WaitingForAdministrator))),
            (WaitingForAdministrator, Some("waiting_for_administrator"), None, None),
            (Ok, Some("waiting_for_administrator"), None, Some(News::Healed)),
        ] {
            assert_eq!(News::of(&grant(state, told), end), news, "{state:?} {told:?}");
        }
        let revoked = GrantStatus { in_force: false, ..grant(NeedsAuthorization, None) };
        assert_eq!(News::of(&revoked, None), None);
        let awaited = GrantStatus { in_force: false, ..grant(WaitingForAdministrator, None) };
        assert_eq!(News::of(&awaited, None), Some(News::NeedsPerson(WaitingForAdministrator)));
    }

    #[test]
    fn an_event_names_the_cure() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let state = GrantState::Misconfigured;
        let event = Event::new(&grant(state, None), &News::NeedsPerson(state), now);
        assert_eq!(event.reason.unwrap(), "the secret is wrong (invalid_client, HTTP 401)");
        assert_eq!(event.cure.unwrap(), "set client_secret for acme");
        let state = GrantState::NeedsAuthorization;
        let event = Event::new(&grant(state, None), &News::NeedsPerson(state), now);
        let cure = "imap-oauth-proxy authorize shared@corp.example --owner Bob@corp.example";
        assert_eq!((event.cure.as_deref(), event.at.as_deref()), (Some(cure), Some("1970-01-01T00:00:00Z")));
        let event =
            Event::new(&grant(GrantState::Ok, None), &News::AboutTo(now, EndCause::ClientSecret), now);
        assert_eq!(event.reason.unwrap(), "it ends on 1970-01-01: the client secret ends then");
        assert_eq!(event.cure.unwrap(), "make a new client secret and set it in [providers.acme]");
    }
    proptest! {
        #[test]
        fn security_row_33_no_date_makes_the_news_panic(
            dates in prop::array::uniform3(any_date()),
            secret_ends in any_date(),
            idle_days: u32,
        ) {
            let [renewed_at, granted, now] = dates;
            let grant = GrantStatus { renewed_at, refresh_expires_at: Some(granted), ..grant(GrantState::Ok, None) };
            let text = "state_directory = \"/x\"\n[providers.gmail]\nclient_id = \"x\"";
            let provider = Config::parse(text, None).unwrap().providers["gmail"].as_ref().clone();
            let provider =
                Provider { idle_days: Some(idle_days), client_secret_expires: Some(secret_ends), ..provider };
            for end in forecast::ends(&grant, &provider, now) {
                let Some(at) = end.at else { continue };
                let _ = at - now;
                Event::new(&grant, &News::AboutTo(at, end.cause), now);
            }
        }
    }
}
