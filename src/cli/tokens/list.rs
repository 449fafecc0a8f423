//! `tokens list`: each grant's state, and its possible ends.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::cli::failure::{Done, Failure};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::control::Installation;
use crate::control::grants::{Overview, Pages};
use crate::surface::grants::{Grant, Wanted};

/// People read the table: longer clauses are cut between words, and are complete in the JSON.
const LONGEST_THREAT: usize = 100;

pub(super) async fn list(installation: &Installation, wanted: Wanted, json: bool) -> Result<Done, Failure> {
    let now = OffsetDateTime::now_utc();
    let (mut done, mut pages, mut summary) = (Done::Well, Pages::default(), Summary::default());
    // Accounts that need a person come first, where a reader sees them.
    let (mut urgent, mut rows) = (Vec::new(), Vec::new());
    let mut array = json.then(print::JsonArray::begin);
    let (progress, mut read) = (Progress::of("Reading the accounts"), 0);
    loop {
        let page = pages.next(installation).await?;
        if page.is_empty() {
            break;
        }
        read += page.len();
        progress.now(format!("Reading the accounts, {read} so far"));
        for overview in page {
            let needs_person = overview.state.needs_person();
            summary.count(&overview);
            if !wanted.holds(&overview, now) {
                continue;
            }
            // Exit code 3 depends on the accounts that are listed. Each one that a filter finds is one to act on.
            if needs_person || wanted.is_some() {
                done = Done::NeedsPerson;
            }
            let listed = Grant::new(overview, now);
            match &mut array {
                Some(array) => array.push(&listed)?,
                None if needs_person => urgent.push(listed),
                None => rows.push(listed),
            }
        }
    }
    drop(progress);
    urgent.append(&mut rows);
    let rows = urgent;
    match array {
        Some(array) => array.end(),
        None if rows.is_empty() && wanted.is_some() => print::words("No account is like that."),
        None if rows.is_empty() => print::no_account_yet(&installation.config.state_directory),
        None => {
            show(rows, has_several_doors(installation));
            print::words(&summary.words());
        }
    }
    Ok(done)
}

/// Whether the table needs a column for doors: not if each provider in use offers only one.
fn has_several_doors(installation: &Installation) -> bool {
    installation.config.usable_providers().any(|provider| provider.doors().count() > 1)
}

fn show(listed: Vec<Grant>, with_doors: bool) {
    let day = |time: &Option<String>| print::minute(time.as_deref());
    let rows = listed.into_iter().map(|grant| {
        let (refreshed, logged_in) = (day(&grant.refreshed_at), day(&grant.last_login_at));
        let owner = grant.owner.filter(|owner| *owner != grant.account);
        let mut row = vec![
            grant.account,
            grant.provider.unwrap_or_else(|| "-".to_owned()),
            owner.unwrap_or_else(|| "itself".to_owned()),
            grant.state.to_owned(),
            refreshed,
            logged_in,
            // Text on which a person has to act is not cut.
            match (grant.last_error, grant.last_refusal) {
                (Some(error), Some(refusal)) => format!("{error}; {}", refusal.line),
                (Some(error), None) => error,
                (None, Some(refusal)) => refusal.line,
                (None, None) => grant.ends.first().map(|end| cut(&end.text)).unwrap_or_default(),
            },
        ];
        if with_doors {
            let doors = if grant.protocols.is_empty() { "-".to_owned() } else { grant.protocols.join(",") };
            row.insert(4, doors);
        }
        row
    });
    let mut heads = vec![
        "ACCOUNT",
        "PROVIDER",
        "OWNER",
        "STATE",
        "REFRESHED (UTC)",
        "LAST LOGIN",
        "ERROR OR NEAREST END",
    ];
    if with_doors {
        heads.insert(4, "PROTOCOLS");
    }
    print::table(&heads, rows);
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_THREAT {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST_THREAT).collect();
    format!("{} …", head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words))
}

/// How many accounts are in which state.
#[derive(Default)]
struct Summary {
    states: BTreeMap<&'static str, usize>,
    need_person: usize,
}

impl Summary {
    fn count(&mut self, overview: &Overview) {
        *self.states.entry(overview.state.name()).or_default() += 1;
        self.need_person += usize::from(overview.state.needs_person());
    }

    /// "50 accounts: 48 ok, 2 misconfigured; 2 need a person".
    fn words(&self) -> String {
        let total: usize = self.states.values().sum();
        let states: Vec<String> = self.states.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let accounts = if total == 1 { "account" } else { "accounts" };
        let need = match self.need_person {
            0 => "none needs a person".to_owned(),
            1 => "1 needs a person".to_owned(),
            count => format!("{count} need a person"),
        };
        format!("{total} {accounts}: {}; {need}.", states.join(", "))
    }
}
