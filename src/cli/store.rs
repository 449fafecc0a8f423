//! `store migrate`: moves the store into another database.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::config::{ConfigError, ConfigHint};
use crate::control::relocate::{self, Relocation};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Move everything into another, empty store; without --apply only say what would be moved
    Migrate(MigrateArguments),
}

#[derive(clap::Args)]
pub(super) struct MigrateArguments {
    /// postgres://user@host/database?sslmode=verify-full, or "sqlite" for the file in the state directory
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file of the new database's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Move it; the old store refuses every program afterwards
    #[arg(long)]
    apply: bool,
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let Command::Migrate(MigrateArguments { to, password_file, apply }) = command;
    let config = options.load()?;
    let target = config.with_store(&to, password_file.as_deref()).map_err(|error| of_option(&error))?;
    let Relocation { from, moved, removed_key } = relocate::relocate(config, &target, apply).await?;
    let what = format!(
        "{} accounts, {} grants, {} app passwords, {} rows in all",
        moved.accounts, moved.grants, moved.passwords, moved.rows
    );
    match apply {
        false => print::words(&format!(
            "This would move {what}, out of {from}. Nothing was changed; run it again with --apply."
        )),
        true => {
            print::words(&format!("Moved {what}, out of {from}, which refuses every program from now on."));
            match removed_key {
                Some(Ok(file)) => print::words(&format!(
                    "The CA's key is sealed in the new store; its file {} was removed.",
                    file.display()
                )),
                Some(Err(why)) => print::words(&format!(
                    "The CA's key is sealed in the new store, but its file ca.key is still there: {why}. Remove it."
                )),
                None => {}
            }
            print::words("Now write the new place into store.url. The key stays where it is.");
        }
    }
    Ok(Done::Well)
}

/// A mistake in the place of the new store, which the command line names and not the configuration.
fn of_option(error: &ConfigError) -> Failure {
    let option = if error.key() == "store.password_file" { "--password-file" } else { "--to" };
    let failure = Failure::new(format!("{option}: {}", error.message())).with_exit_code(2);
    match error.hint() {
        Some(ConfigHint::Words(words)) => failure.hint(words.replace("url = ", "--to ")),
        _ => failure,
    }
}
