//! What would end a grant, and when, as far as it is known.

use time::{Duration, OffsetDateTime};

use super::tokens::last_refresh;
use crate::config::Provider;
use crate::store::{Grant, GrantState};

/// One line: the nearest known end first, then what else ends grants at this provider.
pub(super) fn forecast(grant: &Grant, provider: &Provider) -> Option<String> {
    if grant.state == GrantState::NeedsAuthorization {
        return None;
    }
    let mut ends: Vec<(OffsetDateTime, String)> = Vec::new();
    if let Some(at) = grant.refresh_expires_at {
        ends.push((at, format!("ends on {}: the provider granted it until then", at.date())));
    }
    if let Some(days) = provider.idle_days {
        let at = last_refresh(grant) + Duration::days(days.into());
        ends.push((at, format!("ends on {} if it is not used until then", at.date())));
    }
    ends.sort_by_key(|(at, _)| *at);
    let mut parts: Vec<String> = ends.into_iter().map(|(_, text)| text).collect();
    parts.extend(provider.ends.iter().map(|end| end.trim_end_matches('.').to_owned()));
    (!parts.is_empty()).then(|| parts.join("; "))
}
