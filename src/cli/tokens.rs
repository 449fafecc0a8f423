//! `tokens`: the grants, their coming ends, and operations on them.

mod import;
mod list;
mod revoke;

use super::failure::{Done, Failure};
use super::options::{Options, door};
use super::progress::Progress;
use super::{agreement, print};
use crate::config::Door;
use crate::control::{Installation, grants};
use crate::surface::grants::Wanted;
use crate::surface::times::{self, rfc3339};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List every grant with its state and its possible ends; exit 3 when a person has to act
    List {
        /// Only accounts that need a person
        #[arg(long)]
        needs_person: bool,
        /// Only grants that will certainly end within this time, such as 14d
        #[arg(long, value_name = "SPAN", value_parser = span)]
        ends_within: Option<time::Duration>,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Fetch a new access token now, without waiting for a pending retry
    Refresh {
        /// The account
        account: String,
    },
    /// Store a refresh token from elsewhere, read from standard input
    Import {
        /// The account for the token
        account: String,
        /// The provider that issued it
        #[arg(long, value_name = "NAME")]
        provider: String,
        /// The protocols that must work, separated by commas [default: those that do]
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = door)]
        protocols: Option<Vec<Door>>,
    },
    /// End an authorisation, also at the provider if possible
    Revoke {
        /// The account
        account: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    match command {
        Command::List { needs_person, ends_within, json } => {
            let wanted = Wanted { needs_person, ends_within };
            options.list(json, async |here| list::list(here, wanted, json).await).await
        }
        Command::Refresh { account } => refresh(&options.open_existing().await?, &account).await,
        Command::Import { account, provider, protocols } => {
            import::import(&options.open_to_seal().await?, &account, &provider, protocols).await
        }
        Command::Revoke { account, yes } => {
            let installation = options.open_existing().await?;
            let loss = format!(
                "The authorisation of {account} ends, here and at its provider where that is possible; every account that \
                 it opens is closed until a person authorises again."
            );
            agreement::to_loss(yes, &loss).await?;
            revoke::revoke(&installation, &account).await
        }
    }
}

fn span(text: &str) -> Result<time::Duration, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    times::span(text).ok_or_else(|| match is_number && matches!(unit, "d" | "h" | "m" | "s") {
        true => "it is too long; the most is a century, 36525d".to_owned(),
        false => "write a number of days or hours: 14d, 12h".to_owned(),
    })
}

async fn refresh(installation: &Installation, name: &str) -> Result<Done, Failure> {
    let progress = Progress::of("Asking the provider for a new access token");
    let (account, token) = grants::refresh(installation, name).await?;
    drop(progress);
    print::words(&format!("{account} has a new access token, which ends at:"));
    print::data(&rfc3339(Some(token.expires_at)).unwrap_or_default());
    Ok(Done::Well)
}
