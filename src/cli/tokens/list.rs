//! `tokens list`: each grant's state, and its possible ends.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::summary::Summary;
use crate::cli::failure::{Done, Failure};
use crate::cli::print::{self, rfc3339};
use crate::command;
use crate::control::Installation;
use crate::control::grants::{Overview, Pages};
use crate::forecast;
use crate::store::{self, Grant, GrantKind};
use crate::trouble;

/// People read the table: longer clauses are cut between words, and are complete in the JSON.
const LONGEST_THREAT: usize = 100;

#[derive(Serialize)]
struct Listed {
    account: String,
    aliases: Vec<String>,
    provider: Option<String>,
    owner: Option<String>,
    kind: Option<GrantKind>,
    state: &'static str,
    /// The doors that the grant opens.
    protocols: Vec<&'static str>,
    scopes: Vec<String>,
    scopes_missing: Vec<String>,
    authorized_at: Option<String>,
    access_expires_at: Option<String>,
    refreshed_at: Option<String>,
    last_login_at: Option<String>,
    last_login_from: Option<String>,
    forecast: Option<String>,
    ends: Vec<ListedEnd>,
    last_error: Option<String>,
    last_error_at: Option<String>,
    cause: Option<trouble::Cause>,
    cure: Option<ListedCure>,
    /// The provider's last refusal after a login. It does not affect the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<LastRefusal>,
}

/// A provider's refusal within a session.
#[derive(Serialize)]
struct LastRefusal {
    at: Option<String>,
    protocol: String,
    code: String,
    cause: trouble::Cause,
    cure: ListedCure,
    /// The whole refusal, for the table.
    #[serde(skip)]
    line: String,
}

impl LastRefusal {
    fn new(refusal: &store::LastRefusal, authorize: &str) -> Self {
        let store::LastRefusal { at, protocol, code, trouble } = refusal;
        Self {
            at: rfc3339(Some(*at)),
            protocol: protocol.clone(),
            code: code.clone(),
            cause: trouble.cause.clone(),
            cure: ListedCure::new(&trouble.cure, authorize),
            line: print::refusal(refusal, authorize),
        }
    }
}

/// The cure of an account's trouble, with its command.
#[derive(Serialize)]
struct ListedCure {
    kind: &'static str,
    /// The key of the configuration, if one must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// One clause, as in `last_error`.
    text: String,
    /// The command, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// The link for an administrator, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// A possible end of a grant.
#[derive(Serialize)]
struct ListedEnd {
    /// The day, if it is known.
    at: Option<String>,
    /// One clause.
    text: String,
}

impl Listed {
    fn new(overview: Overview, now: OffsetDateTime) -> Self {
        let end = |end: &forecast::GrantEnd| ListedEnd { at: rfc3339(end.at), text: end.clause(now) };
        let ends: Vec<ListedEnd> = overview.ends.iter().map(end).collect();
        let whole: Vec<&str> = ends.iter().map(|end| end.text.as_str()).collect();
        let grant = overview.grant.as_ref();
        let name = &overview.account.name;
        let authorize =
            grant.map_or_else(|| command::authorize_account(name), |grant| command::authorize(grant, name));
        let trouble = overview.trouble.as_ref();
        Self {
            state: overview.state.name(),
            protocols: overview.protocols.iter().map(|door| door.name()).collect(),
            last_error: trouble.map(|trouble| trouble.line(&authorize)),
            last_error_at: rfc3339(overview.failed_at()),
            cause: trouble.map(|trouble| trouble.cause.clone()),
            cure: trouble.map(|trouble| ListedCure::new(&trouble.cure, &authorize)),
            last_refusal: overview.account.refusal.as_ref().map(|it| LastRefusal::new(it, &authorize)),
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            kind: grant.map(Grant::kind),
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

impl ListedCure {
    fn new(cure: &trouble::Cure, authorize: &str) -> Self {
        let [key, url] = [cure.key(), cure.link()].map(|part| part.map(str::to_owned));
        Self { kind: cure.kind(), key, text: cure.words(authorize), command: cure.command(authorize), url }
    }
}

/// The filter of the list.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) needs_person: bool,
    pub(super) ends_within: Option<Duration>,
}

impl Wanted {
    /// Whether the filter can leave accounts out.
    fn is_some(self) -> bool {
        self.needs_person || self.ends_within.is_some()
    }

    fn holds(self, overview: &Overview, now: OffsetDateTime) -> bool {
        let ends = |span: Duration| overview.ends_by(now.saturating_add(span));
        (!self.needs_person || overview.state.needs_person()) && self.ends_within.is_none_or(ends)
    }
}

pub(super) async fn list(installation: &Installation, wanted: Wanted, json: bool) -> Result<Done, Failure> {
    let now = OffsetDateTime::now_utc();
    let (mut done, mut pages, mut summary) = (Done::Well, Pages::default(), Summary::default());
    // Accounts that need a person come first, where they are seen.
    let (mut urgent, mut rows) = (Vec::new(), Vec::new());
    let mut array = json.then(print::JsonArray::begin);
    loop {
        let page = pages.next(installation).await?;
        if page.is_empty() {
            break;
        }
        for overview in page {
            // Exit code 3 depends on all accounts, listed or not.
            let needs_person = overview.state.needs_person();
            summary.count(&overview);
            if needs_person
                || wanted.ends_within.is_some_and(|span| overview.ends_by(now.saturating_add(span)))
            {
                done = Done::NeedsPerson;
            }
            if !wanted.holds(&overview, now) {
                continue;
            }
            let listed = Listed::new(overview, now);
            match &mut array {
                Some(array) => array.push(&listed)?,
                None if needs_person => urgent.push(listed),
                None => rows.push(listed),
            }
        }
    }
    urgent.append(&mut rows);
    let rows = urgent;
    match array {
        Some(array) => array.end(),
        None if rows.is_empty() && wanted.is_some() => print::words("No account is like that."),
        None if rows.is_empty() => print::no_account_yet(&installation.config.state_directory),
        None => {
            show(&rows, has_several_doors(installation));
            print::words(&summary.words());
        }
    }
    Ok(done)
}

/// Whether doors are worth a column: where each provider in use offers one alone, they are not.
fn has_several_doors(installation: &Installation) -> bool {
    installation.config.usable_providers().any(|provider| provider.doors().count() > 1)
}

fn show(listed: &[Listed], with_doors: bool) {
    let day = |time: &Option<String>| print::minute(time.as_deref());
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|grant| {
            let owner = grant.owner.clone().filter(|owner| *owner != grant.account);
            let mut row = vec![
                grant.account.clone(),
                grant.provider.clone().unwrap_or_else(|| "-".to_owned()),
                owner.unwrap_or_else(|| "itself".to_owned()),
                grant.state.to_owned(),
                day(&grant.refreshed_at),
                day(&grant.last_login_at),
                // The task of a person is not cut.
                match (&grant.last_error, &grant.last_refusal) {
                    (Some(error), Some(refusal)) => format!("{error}; {}", refusal.line),
                    (Some(error), None) => error.clone(),
                    (None, Some(refusal)) => refusal.line.clone(),
                    (None, None) => grant.ends.first().map(|end| cut(&end.text)).unwrap_or_default(),
                },
            ];
            if with_doors {
                let doors =
                    if grant.protocols.is_empty() { "-".to_owned() } else { grant.protocols.join(",") };
                row.insert(4, doors);
            }
            row
        })
        .collect();
    let mut titles = vec![
        "ACCOUNT",
        "PROVIDER",
        "OWNER",
        "STATE",
        "REFRESHED (UTC)",
        "LAST LOGIN",
        "ERROR OR NEAREST END",
    ];
    if with_doors {
        titles.insert(4, "PROTOCOLS");
    }
    print::table(&titles, &rows);
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_THREAT {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST_THREAT).collect();
    format!("{} …", head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words))
}
