//! What would end a grant, and when, as far as it is known.
//!
//! Dates first, the nearest of them in front; then what ends grants at this provider without a date. What
//! we cannot know (whether a Google project is in Testing) is said as a condition, with the date that
//! follows from it.

// Dates and spans from files, the store and peers: no sum of them may overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use serde::Serialize;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use super::result::rfc3339;
use super::tokens::last_refresh;
use crate::config::Provider;
use crate::store::{Grant, GrantKind, GrantState};

const GOOGLE: &str = "https://accounts.google.com";
/// What Google gives a project in Testing.
const TESTING: Duration = Duration::days(7);

/// One way in which a grant may end.
#[derive(Clone, Debug, Serialize)]
pub(super) struct End {
    /// The day, where it is known.
    pub(super) at: Option<String>,
    /// One clause.
    pub(super) text: String,
}

/// The nearest known end first, then what else ends grants at this provider.
pub(super) fn forecast(grant: &Grant, provider: &Provider) -> Vec<End> {
    if grant.state == GrantState::NeedsAuthorization || grant.refresh_token.is_none() {
        return Vec::new();
    }
    let mut dated: Vec<(OffsetDateTime, String)> = Vec::new();
    if let Some((at, date)) = client_secret_end(provider) {
        let when = if at < OffsetDateTime::now_utc() { "ended" } else { "ends" };
        dated.push((at, format!("the client secret {when} on {date}; a new one keeps the grant alive")));
    }
    if grant.kind == GrantKind::App {
        let mut ends = sorted(dated);
        ends.push(undated("the application's key or its permission is withdrawn"));
        return ends;
    }
    if let Some(at) = grant.refresh_expires_at {
        dated.push((at, format!("ends on {}: the provider granted it until then", at.date())));
    }
    let testing_ends = grant.authorized_at.saturating_add(TESTING);
    if provider.issuer.as_deref() == Some(GOOGLE) && OffsetDateTime::now_utc() < testing_ends {
        let at = testing_ends;
        dated.push((
            at,
            format!("ends on {} if the Google Cloud project's publishing status is Testing", at.date()),
        ));
    }
    if let Some(days) = provider.idle_days {
        let at = last_refresh(grant).saturating_add(Duration::days(days.into()));
        dated.push((at, format!("ends on {} if it is not refreshed until then", at.date())));
    }
    let mut ends = sorted(dated);
    ends.extend(provider.ends.iter().map(|end| undated(end.trim_end_matches('.'))));
    ends
}

fn sorted(mut dated: Vec<(OffsetDateTime, String)>) -> Vec<End> {
    dated.sort_by_key(|(at, _)| *at);
    dated.into_iter().map(|(at, text)| End { at: rfc3339(Some(at)), text }).collect()
}

fn undated(text: &str) -> End {
    End { at: None, text: text.to_owned() }
}

/// The date that the user told, `2027-03-01` or a whole RFC 3339 time.
fn client_secret_end(provider: &Provider) -> Option<(OffsetDateTime, Date)> {
    let text = provider.client_secret_expires.as_deref()?;
    let date = Date::parse(text.get(..10)?, format_description!("[year]-[month]-[day]")).ok()?;
    Some((date.midnight().assume_utc(), date))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::store::any_date;

    fn gmail(more: &str) -> std::sync::Arc<Provider> {
        let text = format!("state_directory = \"/x\"\n[providers.gmail]\nclient_id = \"x\"\n{more}");
        Config::parse(&text, None).unwrap().providers["gmail"].clone()
    }

    fn grant(age: Duration) -> Grant {
        let mut grant = Grant::new("gmail", "alice@gmail.com", OffsetDateTime::now_utc() - age);
        grant.refresh_token = Some(vec![1]);
        grant
    }

    #[test]
    fn the_nearest_end_comes_first_and_testing_is_a_condition_of_the_first_week() {
        let ends = forecast(&grant(Duration::days(1)), &gmail(""));
        assert!(ends[0].text.contains("Testing") && ends[1].text.contains("not refreshed"), "{ends:?}");
        let ends = forecast(&grant(Duration::days(8)), &gmail(""));
        assert!(ends[0].text.contains("not refreshed"), "{ends:?}");
        let ends = forecast(&grant(Duration::days(8)), &gmail("client_secret_expires = \"2020-01-02\""));
        assert!(ends[0].text.contains("ended on 2020-01-02"), "{ends:?}");
    }

    proptest! {
        #[test]
        fn security_row_33_no_date_makes_a_forecast_panic(
            dates in prop::array::uniform3(any_date()),
            idle_days: u32,
        ) {
            let [authorized, refreshed, ends] = dates;
            let mut grant = grant(Duration::ZERO);
            grant.authorized_at = authorized;
            grant.refreshed_at = Some(refreshed);
            grant.refresh_expires_at = Some(ends);
            let provider = Provider { idle_days: Some(idle_days), ..(*gmail("")).clone() };
            prop_assert!(forecast(&grant, &provider).len() >= 2);
        }
    }

    #[test]
    fn a_grant_that_is_over_has_no_forecast() {
        let mut over = grant(Duration::days(1));
        over.refresh_token = None;
        assert!(forecast(&over, &gmail("")).is_empty());
    }
}
