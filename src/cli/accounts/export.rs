//! `accounts export`: moves an authorisation to another installation.

use std::path::PathBuf;

use super::passphrase;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::control::Installation;
use crate::control::transfer::{Export, SealedFor};

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The account
    account: String,
    /// Seal it for the installation whose `keys recipient` printed this key
    #[arg(long, value_name = "KEY", conflicts_with = "passphrase_file")]
    recipient: Option<String>,
    /// Read the passphrase from this file's first line; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The new place, to be shown in the list
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Continue to use it here as well; only if the provider's refresh tokens do not rotate
    #[arg(long)]
    copy: bool,
}

pub(super) async fn export(installation: &Installation, arguments: &Arguments) -> Result<(), Failure> {
    let export = Export::new(installation, &arguments.account, arguments.copy).await?;
    let sealed_for = match (&arguments.recipient, &arguments.passphrase_file) {
        (Some(key), _) => SealedFor::recipient(key)?,
        (None, Some(file)) => SealedFor::passphrase(passphrase::in_file(file).await?)?,
        (None, None) => SealedFor::passphrase(passphrase::ask_twice().await?)?,
    };
    let to = arguments.to.as_deref();
    let exported = export.send(installation, &sealed_for, to, print::data_or_error).await?;
    let name = &exported.account;
    match exported.closed {
        None => print::words(&format!("{name} is copied; it goes on working here.")),
        Some(others) => {
            print::words(&format!("{name} has moved: this installation no longer uses its authorisation."));
            if !others.is_empty() {
                print::words(&format!("It also opened {}, which has none now.", others.join(", ")));
            }
        }
    }
    print::words(
        "There: imap-oauth-proxy accounts import < FILE. App passwords do not travel; make new ones there.",
    );
    Ok(())
}
