//! `accounts import`: stores another installation's export, and then tests it.

use std::path::{Path, PathBuf};

use super::passphrase;
use crate::cli::failure::{Done, Failure};
use crate::cli::{agreement, print, terminal};
use crate::command;
use crate::control::Installation;
use crate::control::transfer::{Imported, Parcel, Trial, check};
use crate::secret::bundle::{self, BundleKind};

/// Far above any bundle.
const LONGEST_BUNDLE: u64 = 256 * 1024;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Read the passphrase from this file's first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Replace an account or an authorisation that exists here
    #[arg(long)]
    replace: bool,
    /// Accept aliases that are other addresses than the account's
    #[arg(long)]
    yes: bool,
}

pub(super) async fn import(installation: &Installation, arguments: &Arguments) -> Result<Done, Failure> {
    if arguments.passphrase_file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::new(
            "standard input holds the exported account, so the passphrase must come from a file",
        ));
    }
    let text = terminal::read_stdin(LONGEST_BUNDLE).await?;
    let parcel = open(installation, arguments, &text).await?;
    check(installation, &parcel, arguments.replace).await?;
    agreement::to_aliases(arguments.yes, async |yes| parcel.check_aliases(installation, yes).await).await?;
    let imported = Imported::store(installation, parcel).await?;
    let Parcel { account, owner, .. } = &imported.parcel;
    print::words(&format!("{account} is here now, with the authorisation of {owner}."));
    if imported.is_disabled {
        print::words(&format!(
            "It is disabled, and lets no mail program in; {} ends that.",
            command::enable(account)
        ));
    }
    let tried = imported.try_it(installation).await;
    let done = tried.map(|trial| tell(&imported, &trial));
    print::words("Mail programs need an app password of this installation:");
    print::words(&format!("  {}", command::create_password(account)));
    Ok(done?)
}

async fn open(installation: &Installation, arguments: &Arguments, text: &str) -> Result<Parcel, Failure> {
    if bundle::kind(text)? == BundleKind::Recipient {
        return Ok(Parcel::opened_here(installation, text).await?);
    }
    let passphrase = match &arguments.passphrase_file {
        Some(file) => passphrase::in_file(file).await?,
        None => passphrase::ask().await?,
    };
    Ok(Parcel::opened_with(&passphrase, text)?)
}

fn tell(imported: &Imported, trial: &Trial) -> Done {
    match trial {
        Trial::Opened { folders, token } => {
            let left = token.minutes_left();
            let folders = folders.map(|folders| format!(" and has {folders} folders")).unwrap_or_default();
            print::words(&format!("The mailbox opened{folders}; the token is good for {left} min."));
            return Done::Well;
        }
        Trial::NoToken(failure) => {
            let why = failure.trouble().line(&command::authorize(&imported.grant, &imported.parcel.account));
            print::words(&format!("warning: no access token came yet: {why}"));
        }
        Trial::Unproven(unproven) => {
            print::words(&format!("warning: the mailbox did not open: {unproven}"));
        }
        Trial::NoClient => {}
    }
    Done::NeedsPerson
}
