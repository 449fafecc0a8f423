//! A grant with its account, as `tokens list` and `/api/v1/grants` show it.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::times::rfc3339;
use crate::command;
use crate::control::grants::Overview;
use crate::forecast;
use crate::store::{self, GrantKind};
use crate::trouble;

/// An account, and the grant that opens it.
#[derive(Serialize)]
pub(crate) struct Grant {
    pub(crate) account: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) provider: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) kind: Option<GrantKind>,
    pub(crate) state: &'static str,
    /// The doors that the grant opens.
    pub(crate) protocols: Vec<&'static str>,
    pub(crate) scopes: Vec<String>,
    pub(crate) scopes_missing: Vec<String>,
    pub(crate) authorized_at: Option<String>,
    pub(crate) access_expires_at: Option<String>,
    pub(crate) refreshed_at: Option<String>,
    pub(crate) last_login_at: Option<String>,
    pub(crate) last_login_from: Option<String>,
    pub(crate) forecast: Option<String>,
    pub(crate) ends: Vec<End>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_at: Option<String>,
    pub(crate) cause: Option<trouble::Cause>,
    pub(crate) cure: Option<Cure>,
    /// The provider's last refusal after a login. It does not affect the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_refusal: Option<LastRefusal>,
}

/// A provider's refusal within a session.
#[derive(Serialize)]
pub(crate) struct LastRefusal {
    pub(crate) at: Option<String>,
    pub(crate) protocol: String,
    pub(crate) code: String,
    pub(crate) cause: trouble::Cause,
    pub(crate) cure: Cure,
    /// The whole refusal, for the table.
    #[serde(skip)]
    pub(crate) line: String,
}

impl LastRefusal {
    fn new(refusal: &store::LastRefusal, authorize: &str) -> Self {
        let store::LastRefusal { at, protocol, code, trouble } = refusal;
        Self {
            at: rfc3339(Some(*at)),
            protocol: protocol.clone(),
            code: code.clone(),
            cause: trouble.cause.clone(),
            cure: Cure::new(&trouble.cure, authorize),
            line: refusal_line(refusal, authorize),
        }
    }
}

/// The cure of an account's trouble, with its command.
#[derive(Serialize)]
pub(crate) struct Cure {
    pub(crate) kind: &'static str,
    /// The key of the configuration, if one must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// One clause, as in `last_error`.
    pub(crate) text: String,
    /// The command, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// The link for an administrator, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

/// A possible end of a grant.
#[derive(Serialize)]
pub(crate) struct End {
    /// The day, if it is known.
    pub(crate) at: Option<String>,
    /// One clause.
    pub(crate) text: String,
}

impl Grant {
    pub(crate) fn new(overview: Overview, now: OffsetDateTime) -> Self {
        let end = |end: &forecast::GrantEnd| End { at: rfc3339(end.at), text: end.clause(now) };
        let ends: Vec<End> = overview.ends.iter().map(end).collect();
        let whole: Vec<&str> = ends.iter().map(|end| end.text.as_str()).collect();
        let grant = overview.grant.as_ref();
        let name = &overview.account.name;
        let authorize = command::authorize_by(grant, name);
        let trouble = overview.trouble.as_ref();
        Self {
            state: overview.state.name(),
            protocols: overview.protocols.iter().map(|door| door.name()).collect(),
            last_error: trouble.map(|trouble| trouble.line(&authorize)),
            last_error_at: rfc3339(overview.failed_at()),
            cause: trouble.map(|trouble| trouble.cause.clone()),
            cure: trouble.map(|trouble| Cure::new(&trouble.cure, &authorize)),
            last_refusal: overview.account.refusal.as_ref().map(|it| LastRefusal::new(it, &authorize)),
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            kind: grant.map(store::Grant::kind),
            scopes: grant.map(|grant| grant.scopes.clone()).unwrap_or_default(),
            authorized_at: rfc3339(grant.map(|grant| grant.authorized_at)),
            access_expires_at: rfc3339(grant.and_then(|grant| grant.access_expires_at)),
            refreshed_at: rfc3339(grant.and_then(|grant| grant.refreshed_at)),
            scopes_missing: overview.scopes_missing,
            last_login_at: rfc3339(overview.account.last_login_at),
            last_login_from: overview.account.last_login_from,
            forecast: (!whole.is_empty()).then(|| whole.join("; ")),
            ends,
            account: overview.account.name,
            aliases: overview.account.aliases,
        }
    }
}

impl Cure {
    fn new(cure: &trouble::Cure, authorize: &str) -> Self {
        let [key, url] = [cure.key(), cure.link()].map(|part| part.map(str::to_owned));
        Self { kind: cure.kind(), key, text: cure.words(authorize), command: cure.command(authorize), url }
    }
}

/// A provider's refusal in a session, as one clause.
pub(crate) fn refusal_line(refusal: &store::LastRefusal, authorize: &str) -> String {
    let store::LastRefusal { at, protocol, code, trouble } = refusal;
    let at = rfc3339(Some(*at)).unwrap_or_default().replace('T', " ");
    let at = at.get(..16).unwrap_or_default();
    let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
    format!("at {at} UTC the provider refused {protocol}{code}: {}", trouble.line(authorize))
}

/// The filter of the list.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) needs_person: bool,
    pub(crate) ends_within: Option<Duration>,
}

impl Wanted {
    /// Whether the filter can leave accounts out.
    pub(crate) fn is_some(self) -> bool {
        self.needs_person || self.ends_within.is_some()
    }

    pub(crate) fn holds(self, overview: &Overview, now: OffsetDateTime) -> bool {
        let ends = |span: Duration| overview.ends_by(now.saturating_add(span));
        (!self.needs_person || overview.state.needs_person()) && self.ends_within.is_none_or(ends)
    }
}
