//! `events`: what was done, and by whom.

use time::OffsetDateTime;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::control::Installation;
use crate::control::audit::Trail;
use crate::surface::events::Event;
use crate::surface::times::since;

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

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let Command::List { since, json } = command;
    options.list(json, async |here| list(here, since, json).await).await
}

async fn list(
    installation: &Installation,
    since: Option<OffsetDateTime>,
    json: bool,
) -> Result<Done, Failure> {
    let (mut trail, mut rows) = (Trail::since(since), Vec::new());
    let mut array = json.then(print::JsonArray::begin);
    loop {
        let page = trail.next(installation).await?;
        if page.is_empty() {
            break;
        }
        for listed in page.into_iter().map(Event::from) {
            match &mut array {
                Some(array) => array.push(&listed)?,
                None => rows.push(row(listed)),
            }
        }
    }
    match array {
        Some(array) => array.end(),
        None if rows.is_empty() => print::words("Nothing is written down for that time."),
        None => print::table(&["WHEN (UTC)", "WHO", "EVENT", "ACCOUNT", "WHAT"], rows),
    }
    Ok(Done::Well)
}

fn row(listed: Event) -> Vec<String> {
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
