//! What is worth telling about a grant, and how it is said.

use serde::Serialize;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, Duration, OffsetDateTime, Time};

use crate::config::Provider;
use crate::store::{GrantKind, GrantState, GrantStatus, fold, sane_date};

/// What the row remembers of an end that was told.
const ABOUT_TO: &str = "about_to_need_person";

/// A known end of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at: OffsetDateTime,
    why: &'static str,
    /// Where it is not a new consent.
    cure: Option<String>,
}

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It cannot be used until a person does something.
    NeedsPerson(GrantState),
    /// It will end.
    AboutTo(End),
    /// What was told is over.
    Healed,
}

impl News {
    /// What is not told yet; `end` is a known end that is near.
    pub(super) fn of(grant: &GrantStatus, end: Option<End>) -> Option<Self> {
        // Whoever revoked it knows.
        if !grant.in_force {
            return None;
        }
        let told = grant.told.as_deref();
        let news = match (grant.state, end) {
            (state @ (GrantState::NeedsAuthorization | GrantState::Misconfigured), _) => {
                Self::NeedsPerson(state)
            }
            // It says nothing about what was told before.
            (GrantState::Retrying, _) if told.is_some() => return None,
            (_, Some(end)) => Self::AboutTo(end),
            (GrantState::Ok, None) if told.is_some() => Self::Healed,
            _ => return None,
        };
        (news.mark() != told).then_some(news)
    }

    /// What the row remembers once it is told.
    pub(super) fn mark(&self) -> Option<&'static str> {
        match self {
            Self::NeedsPerson(state) => Some(state.name()),
            Self::AboutTo(_) => Some(ABOUT_TO),
            Self::Healed => None,
        }
    }
}

/// The nearest known end of a grant that nobody prevents.
pub(super) fn end(grant: &GrantStatus, provider: &Provider) -> Option<End> {
    let granted = grant.refresh_expires_at.map(|at| End {
        at,
        why: "the provider granted access until then",
        cure: None,
    });
    let idle_days = provider.idle_days.filter(|_| grant.kind == GrantKind::Person);
    let idle = idle_days.map(|days| End {
        at: grant.renewed_at.saturating_add(Duration::days(days.into())),
        why: "it has not been refreshed for long, and the provider ends grants that are not used",
        cure: None,
    });
    let secret = provider.client_secret_expires.as_deref().and_then(day).map(|at| End {
        at,
        why: "the client secret ends then",
        cure: Some(format!("make a new client secret and set it in [providers.{}]", provider.name)),
    });
    [granted, idle, secret].into_iter().flatten().min_by_key(|end| end.at)
}

/// A date, with or without a time.
fn day(text: &str) -> Option<OffsetDateTime> {
    let date = || Some(Date::parse(text, &Iso8601::DATE).ok()?.with_time(Time::MIDNIGHT).assume_utc());
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(date).map(sane_date)
}

/// What is delivered.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) event: &'static str,
    /// The owner's own account where there is one.
    pub(super) account: String,
    /// All that use the grant.
    accounts: Vec<String>,
    owner: String,
    provider: String,
    state: GrantState,
    reason: Option<String>,
    cure: Option<String>,
    at: Option<String>,
}

impl Event {
    pub(super) fn new(grant: &GrantStatus, news: &News, now: OffsetDateTime) -> Self {
        let own = grant.accounts.iter().find(|name| fold(name) == fold(&grant.owner));
        let account = own.or(grant.accounts.first()).unwrap_or(&grant.owner).clone();
        let target = grant.command_target(&account);
        let authorize = format!("imap-oauth-proxy authorize {target}");
        let (event, reason, cure) = match news {
            News::NeedsPerson(state) => {
                let line = grant.last_error.as_deref().unwrap_or("the provider refused it");
                let (reason, remedy) = cause_and_cure(&line.replace("{account}", &target));
                let cure = match state {
                    GrantState::NeedsAuthorization => authorize,
                    _ => remedy.unwrap_or_else(|| "imap-oauth-proxy tokens list says more".to_owned()),
                };
                ("needs_person", Some(reason), Some(cure))
            }
            News::AboutTo(end) => {
                let reason = format!("it ends on {}: {}", end.at.date(), end.why);
                (ABOUT_TO, Some(reason), Some(end.cure.clone().unwrap_or(authorize)))
            }
            News::Healed => ("healed", None, None),
        };
        Self {
            event,
            account,
            accounts: grant.accounts.clone(),
            owner: grant.owner.clone(),
            provider: grant.provider.clone(),
            state: grant.state,
            reason,
            cure,
            at: now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).ok(),
        }
    }
}

/// `MEANING (CODE); REMEDY` in its two parts.
fn cause_and_cure(line: &str) -> (String, Option<String>) {
    match line.rsplit_once("); ") {
        Some((cause, cure)) => (format!("{cause})"), Some(cure.to_owned())),
        None => (line.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::store::{Id, any_date};

    fn grant(state: GrantState, told: Option<&str>) -> GrantStatus {
        let line = "the secret is wrong (invalid_client, HTTP 401); set client_secret for {account}";
        GrantStatus {
            id: Id("grant".into()),
            kind: GrantKind::Person,
            provider: "acme".into(),
            owner: "Bob@corp.example".into(),
            state,
            last_error: Some(line.into()),
            in_force: true,
            access_expires_at: None,
            renewed_at: OffsetDateTime::UNIX_EPOCH,
            refresh_expires_at: None,
            failed_at: None,
            retry_at: None,
            last_login_at: None,
            accounts: vec!["shared@corp.example".into()],
            told: told.map(str::to_owned),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        use GrantState::{Misconfigured, NeedsAuthorization, Ok, Retrying};
        let end = || Some(End { at: OffsetDateTime::UNIX_EPOCH, why: "soon", cure: None });
        let about_to = || end().map(News::AboutTo);
        for (state, told, end, news) in [
            (Ok, None, None, None),
            (NeedsAuthorization, None, None, Some(News::NeedsPerson(NeedsAuthorization))),
            (NeedsAuthorization, Some("needs_authorization"), end(), None),
            (Misconfigured, Some("needs_authorization"), None, Some(News::NeedsPerson(Misconfigured))),
            (Retrying, Some("misconfigured"), end(), None),
            (Retrying, None, end(), about_to()),
            (Ok, Some("misconfigured"), None, Some(News::Healed)),
            (Ok, None, end(), about_to()),
            (Ok, Some(ABOUT_TO), end(), None),
            (Ok, Some(ABOUT_TO), None, Some(News::Healed)),
        ] {
            assert_eq!(News::of(&grant(state, told), end), news, "{state:?} {told:?}");
        }
        let revoked = GrantStatus { in_force: false, ..grant(NeedsAuthorization, None) };
        assert_eq!(News::of(&revoked, None), None);
    }

    #[test]
    fn an_event_names_the_cure() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let state = GrantState::Misconfigured;
        let event = Event::new(&grant(state, None), &News::NeedsPerson(state), now);
        assert_eq!(event.reason.unwrap(), "the secret is wrong (invalid_client, HTTP 401)");
        assert_eq!(event.cure.unwrap(), "set client_secret for shared@corp.example --owner Bob@corp.example");
        let state = GrantState::NeedsAuthorization;
        let event = Event::new(&grant(state, None), &News::NeedsPerson(state), now);
        let cure = "imap-oauth-proxy authorize shared@corp.example --owner Bob@corp.example";
        assert_eq!((event.cure.as_deref(), event.at.as_deref()), (Some(cure), Some("1970-01-01T00:00:00Z")));
    }

    proptest! {
        #[test]
        fn security_row_33_no_date_makes_the_news_panic(
            dates in prop::array::uniform3(any_date()),
            idle_days: u32,
            secret_ends in "[0-9]{4}-[01][0-9]-[0-3][0-9](T23:59:59-23:59)?",
        ) {
            let [renewed_at, ends, now] = dates;
            let grant = GrantStatus { renewed_at, refresh_expires_at: Some(ends), ..grant(GrantState::Ok, None) };
            let text = "state_directory = \"/x\"\n[providers.gmail]\nclient_id = \"x\"";
            let provider = Config::parse(text, None).unwrap().providers["gmail"].as_ref().clone();
            let provider =
                Provider { idle_days: Some(idle_days), client_secret_expires: Some(secret_ends), ..provider };
            let end = end(&grant, &provider).unwrap();
            let _ = end.at - now;
            Event::new(&grant, &News::AboutTo(end), now);
        }
    }

    #[test]
    fn dates_come_with_and_without_a_time() {
        assert_eq!(day("2030-01-02"), day("2030-01-02T00:00:00Z"));
        assert!(day("2030-01-02").is_some() && day("tomorrow").is_none());
    }
}
