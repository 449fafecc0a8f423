//! `events`: what was done, and by whom.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};

use super::failure::{Done, Failure};
use super::options::{Options, nothing_listed};
use super::print::{self, rfc3339};
use crate::control::audit::Trail;
use crate::store::TrailEntry;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List what was done to this installation, by whom, and what people were told
    List {
        /// Only from this time on: a date and time (RFC 3339), a date, or a span before now such as 7d or 12h
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<OffsetDateTime>,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Listed {
    at: Option<String>,
    event: String,
    /// The first of the accounts.
    account: Option<String>,
    accounts: Vec<String>,
    about: Option<String>,
    surface: String,
    user: Option<String>,
    uid: Option<u32>,
}

impl From<TrailEntry> for Listed {
    fn from(TrailEntry { act, .. }: TrailEntry) -> Self {
        Self {
            at: rfc3339(Some(act.at)),
            event: act.deed,
            account: act.accounts.first().cloned(),
            accounts: act.accounts,
            about: act.about,
            surface: act.actor.surface,
            user: act.actor.user,
            uid: act.actor.uid,
        }
    }
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let Command::List { since, json } = command;
    let installation = match options.open_to_read().await? {
        Ok(installation) => installation,
        Err(nothing) => return nothing_listed(&nothing, json),
    };
    let (mut trail, mut rows) = (Trail::since(since), Vec::new());
    let mut array = json.then(print::JsonArray::begin);
    loop {
        let page = trail.next(&installation).await?;
        if page.is_empty() {
            break;
        }
        for listed in page.into_iter().map(Listed::from) {
            match &mut array {
                Some(array) => array.push(&listed)?,
                None => rows.push(row(listed)),
            }
        }
    }
    match array {
        Some(array) => array.end(),
        None if rows.is_empty() => print::words("Nothing is written down for that time."),
        None => print::table(&["WHEN (UTC)", "WHO", "EVENT", "ACCOUNT", "WHAT"], &rows),
    }
    Ok(Done::Well)
}

fn row(listed: Listed) -> Vec<String> {
    let who = match (listed.user, listed.uid) {
        (Some(user), Some(uid)) => format!("{user} ({uid}) by {}", listed.surface),
        _ => listed.surface,
    };
    let account = match (listed.account, listed.accounts.len()) {
        (Some(first), count) if count > 1 => format!("{first} and {} more", count - 1),
        (first, _) => first.unwrap_or_else(|| "-".to_owned()),
    };
    let at = listed.at.unwrap_or_default().replace('T', " ").replace('Z', "");
    vec![at, who, listed.event, account, listed.about.unwrap_or_default()]
}

/// A time in the form that a person types.
fn since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(day.with_time(Time::MIDNIGHT).assume_utc());
    }
    super::span::parse(text)
        .and_then(|span: Duration| OffsetDateTime::now_utc().checked_sub(span))
        .ok_or_else(|| "write 2026-02-08T09:30:00Z, 2026-02-08, 7d or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_three_ways() {
        let day = since("2026-02-08").unwrap();
        assert_eq!(day, since("2026-02-08T00:00:00Z").unwrap());
        assert_eq!(since("2026-02-08T02:00:00+02:00").unwrap(), day);
        let week_ago = since("7d").unwrap();
        assert_eq!((OffsetDateTime::now_utc() - week_ago).whole_days(), 7);
        for nonsense in ["", "d", "7", "-1d", "yesterday", "2026-13-01", "99999999999999999999d"] {
            since(nonsense).unwrap_err();
        }
    }
}
