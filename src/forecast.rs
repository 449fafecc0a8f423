//! When and why a grant will end. No other module works this out.
//!
//! Ends with a date come first, the nearest in front; then the provider's ends without a date. A fact that
//! the proxy cannot know (whether a Google project is in Testing) becomes a condition, with the date that
//! would follow. `tokens list` shows all ends; events warn of the nearest certain one.

// Files, the store and peers supply arbitrary dates and durations; adding them must not overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use time::{Duration, OffsetDateTime};

use crate::config::Provider;
use crate::store::{Grant, GrantCount, GrantKind, GrantStatus, sane_date};

/// A possible end of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantEnd {
    /// The date, if it is known.
    pub at: Option<OffsetDateTime>,
    /// The cause.
    pub cause: EndCause,
}

/// The cause of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The client secret expires. A new secret keeps the grant alive.
    ClientSecret,
    /// The provider granted access until that day.
    Granted,
    /// The grant ends on that day unless it is refreshed.
    Disuse,
    /// The grant ends on that day if the project's publishing status is Testing.
    Testing,
    /// The application's key or its permission may be withdrawn.
    Withdrawal,
    /// One sentence from the provider's table.
    Stated(String),
}

impl GrantEnd {
    /// One clause, with the day.
    pub fn clause(&self, now: OffsetDateTime) -> String {
        let day = self.at.map(|at| at.date().to_string()).unwrap_or_default();
        match &self.cause {
            EndCause::ClientSecret => {
                let when = if self.at.is_some_and(|at| at < now) { "ended" } else { "ends" };
                format!("the client secret {when} on {day}; a new one keeps the grant alive")
            }
            EndCause::Granted => format!("ends on {day}: the provider granted it until then"),
            EndCause::Testing => {
                format!("ends on {day} if the Google Cloud project's publishing status is Testing")
            }
            EndCause::Disuse => format!("ends on {day} if it is not refreshed until then"),
            EndCause::Withdrawal => "the application's key or its permission is withdrawn".to_owned(),
            EndCause::Stated(sentence) => sentence.trim_end_matches('.').to_owned(),
        }
    }
}

impl EndCause {
    /// Whether the end comes unless a person acts or the grant is used. A mere condition is not reported.
    pub fn is_certain(&self) -> bool {
        matches!(self, Self::ClientSecret | Self::Granted | Self::Disuse)
    }
}

/// The dates of a grant that decide its ends.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    kind: GrantKind,
    /// The date of the consent, if it was read.
    authorized_at: Option<OffsetDateTime>,
    /// The last refresh, or else the consent.
    renewed_at: OffsetDateTime,
    /// The end that the provider announced.
    granted_until: Option<OffsetDateTime>,
}

impl From<&Grant> for Life {
    fn from(grant: &Grant) -> Self {
        Self {
            kind: grant.kind(),
            authorized_at: Some(grant.authorized_at),
            renewed_at: grant.refreshed_at.unwrap_or(grant.authorized_at),
            granted_until: grant.refresh_expires_at,
        }
    }
}

impl From<&GrantStatus> for Life {
    fn from(grant: &GrantStatus) -> Self {
        Self {
            kind: grant.kind,
            authorized_at: None,
            renewed_at: grant.renewed_at,
            granted_until: grant.refresh_expires_at,
        }
    }
}

/// For a group of grants: the earliest dates among them.
impl From<&GrantCount> for Life {
    fn from(grants: &GrantCount) -> Self {
        Self {
            kind: grants.kind,
            authorized_at: None,
            renewed_at: grants.renewed_at,
            granted_until: grants.refresh_expires_at,
        }
    }
}

/// The day until which the provider has granted access, if it has said so. Unlike an end by disuse, no login puts it
/// off: only a person's consent does.
pub fn announced_end(grant: &Grant) -> Option<OffsetDateTime> {
    (grant.kind() == GrantKind::Person).then_some(grant.refresh_expires_at).flatten()
}

/// The ends of a grant at `provider` that is in force.
pub fn ends(life: impl Into<Life>, provider: &Provider, now: OffsetDateTime) -> Vec<GrantEnd> {
    let life = life.into();
    let after = |from: OffsetDateTime, days: u32| from.saturating_add(Duration::days(days.into()));
    let secret = (provider.client_secret_expires.map(sane_date), EndCause::ClientSecret);
    if life.kind == GrantKind::App {
        return in_order([secret], [EndCause::Withdrawal]);
    }
    let testing = life.authorized_at.zip(provider.quirks.testing_days).map(|(from, days)| after(from, days));
    let dated = [
        secret,
        (life.granted_until, EndCause::Granted),
        (testing.filter(|at| now < *at), EndCause::Testing),
        (provider.idle_days.map(|days| after(life.renewed_at, days)), EndCause::Disuse),
    ];
    in_order(dated, provider.ends.iter().cloned().map(EndCause::Stated))
}

fn in_order(
    dated: impl IntoIterator<Item = (Option<OffsetDateTime>, EndCause)>,
    undated: impl IntoIterator<Item = EndCause>,
) -> Vec<GrantEnd> {
    let known = dated.into_iter().filter(|(at, _)| at.is_some());
    let mut ends: Vec<GrantEnd> = known.map(|(at, cause)| GrantEnd { at, cause }).collect();
    ends.sort_by_key(|end| end.at);
    ends.extend(undated.into_iter().map(|cause| GrantEnd { at: None, cause }));
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::store::{Id, Right, any_date};

    fn gmail(more: &str) -> std::sync::Arc<Provider> {
        let text = format!("state_directory = \"/x\"\n[providers.gmail]\nclient_id = \"x\"\n{more}");
        Config::parse(&text, None).unwrap().providers["gmail"].clone()
    }

    fn person(owner: &str, authorized_at: OffsetDateTime) -> Grant {
        let right = Right::Person { refresh_token: vec![1] };
        Grant::new(Id::random(), "gmail", owner, right, authorized_at)
    }

    fn causes(age: Duration, provider: &Provider) -> Vec<EndCause> {
        let now = OffsetDateTime::now_utc();
        let grant = person("alice@gmail.com", now - age);
        ends(&grant, provider, now).into_iter().map(|end| end.cause).collect()
    }

    #[test]
    fn the_nearest_end_comes_first_and_testing_is_a_condition_of_the_first_week() {
        let causes_of = |days, more| causes(Duration::days(days), &gmail(more));
        assert_eq!(causes_of(1, "")[..2], [EndCause::Testing, EndCause::Disuse]);
        assert_eq!(causes_of(8, "")[0], EndCause::Disuse);
        assert_eq!(causes_of(8, "client_secret_expires = \"2020-01-02\"")[0], EndCause::ClientSecret);
        assert!(
            causes_of(8, "")
                .iter()
                .any(|cause| matches!(cause, EndCause::Stated(text) if text.contains("password")))
        );
    }

    #[test]
    fn the_day_of_the_secrets_end_comes_with_and_without_a_time() {
        let end =
            |date: &str| gmail(&format!("client_secret_expires = {date:?}")).client_secret_expires.unwrap();
        assert_eq!(end("2030-01-02"), end("2030-01-02T00:00:00Z"));
        assert_eq!(end("9999-12-31T23:59:59-23:59").date().to_string(), "9999-12-31");
    }

    proptest! {
        #[test]
        fn security_row_33_no_date_makes_a_forecast_panic(
            dates in prop::array::uniform4(any_date()),
            idle_days: u32,
        ) {
            let [authorized, refreshed, granted, now] = dates;
            let mut grant = person("alice@gmail.com", authorized);
            grant.refreshed_at = Some(refreshed);
            grant.refresh_expires_at = Some(granted);
            let provider = Provider { idle_days: Some(idle_days), ..(*gmail("")).clone() };
            prop_assert!(ends(&grant, &provider, now).len() >= 2);
        }
    }

    #[test]
    fn an_applications_grant_ends_with_its_secret_or_its_permission() {
        let now = OffsetDateTime::now_utc();
        let grant = Grant::new(Id::random(), "gmail", "@corp.example", Right::Application, now);
        let gmail = gmail("client_secret_expires = \"2099-01-02\"");
        let known = ends(&grant, &gmail, OffsetDateTime::now_utc());
        assert_eq!(
            known.iter().map(|end| &end.cause).collect::<Vec<_>>(),
            [&EndCause::ClientSecret, &EndCause::Withdrawal]
        );
        assert_eq!(known[0].at.map(|at| at.date().to_string()).as_deref(), Some("2099-01-02"));
    }
}
