//! The ends of a grant in words, one clause each.

use serde::Serialize;
use time::OffsetDateTime;

use super::result::rfc3339;
use crate::config::Provider;
use crate::forecast::{self, Cause};
use crate::store::{Grant, GrantState};

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
    let now = OffsetDateTime::now_utc();
    let ends = forecast::ends(grant, provider, now);
    ends.into_iter().map(|end| End { at: rfc3339(end.at), text: text(&end, now) }).collect()
}

fn text(end: &forecast::End, now: OffsetDateTime) -> String {
    let day = end.at.map(|at| at.date().to_string()).unwrap_or_default();
    match &end.cause {
        Cause::ClientSecret => {
            let when = if end.at.is_some_and(|at| at < now) { "ended" } else { "ends" };
            format!("the client secret {when} on {day}; a new one keeps the grant alive")
        }
        Cause::Granted => format!("ends on {day}: the provider granted it until then"),
        Cause::Testing => {
            format!("ends on {day} if the Google Cloud project's publishing status is Testing")
        }
        Cause::Disuse => format!("ends on {day} if it is not refreshed until then"),
        Cause::Withdrawal => "the application's key or its permission is withdrawn".to_owned(),
        Cause::Stated(sentence) => sentence.trim_end_matches('.').to_owned(),
    }
}
