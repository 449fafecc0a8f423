//! `backup` and `restore`: copy the store to a file, and back.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use super::progress::Progress;
use crate::control::backup::{self, NeededKey};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file; it must not exist yet
    file: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct RestoreArguments {
    /// A file that `backup` wrote
    file: PathBuf,
}

pub(super) async fn backup(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let installation = options.open_existing().await?;
    installation.verify_key().await?;
    let file = &arguments.file;
    let progress = Progress::of("Copying the store");
    let NeededKey { id, source, accounts } = backup::backup(&installation, file).await?;
    drop(progress);
    let count = if accounts == 1 { "one account".to_owned() } else { format!("{accounts} accounts") };
    print::words(&format!("The store is in {}, with {count}.", file.display()));
    print::words(&format!(
        "Only key {id} of {source} opens it. The file does not contain that key: keep a copy of it in another place."
    ));
    Ok(Done::Well)
}

pub(super) async fn restore(options: &Options, arguments: RestoreArguments) -> Result<Done, Failure> {
    let file = &arguments.file;
    let progress = Progress::of("Restoring the store");
    let kept = backup::restore(options.load()?, file).await?;
    drop(progress);
    print::words(&format!("The store is as it was in {}.", file.display()));
    if let Some(kept) = kept {
        print::words(&format!("The one that it replaces is kept as {}.", kept.display()));
    }
    print::words(
        "Passwords and grants that were revoked since the backup are valid again. A provider that gives a new refresh token at each use may not accept the old one: imap-oauth-proxy check shows which accounts have to be authorised again.",
    );
    Ok(Done::Well)
}
