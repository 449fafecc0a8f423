//! `accounts`: the accounts that mail programs log in to.

mod add;
mod export;
mod import;
mod passphrase;

use super::failure::{Done, Failure};
use super::options::Options;
use super::{agreement, print};
use crate::command;
use crate::control::{Installation, accounts};
use crate::surface::accounts::Account;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List the accounts
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove an account, its passwords, and its authorisation if no other account uses it
    Remove {
        /// The account
        account: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Add another login name to an account
    Alias {
        /// The account
        account: String,
        /// The other name
        name: String,
        /// Accept a name that is another address than the account's without asking
        #[arg(long)]
        yes: bool,
    },
    /// Remove another login name of an account
    Unalias {
        /// The account
        account: String,
        /// The other name
        name: String,
    },
    /// Refuse every login to an account, with any password, until it is enabled again
    ///
    /// Its sessions end within seconds. Its passwords and its authorisation stay. The authorisation is not renewed
    /// ahead of time unless another account uses it, and no event reports it.
    Disable {
        /// The account
        account: String,
    },
    /// Allow logins to a disabled account again
    Enable {
        /// The account
        account: String,
    },
    /// Make many accounts, each waiting for its owner's consent, and print the commands that authorise them
    Add(add::Arguments),
    /// Move an account's authorisation to another installation: prints it, sealed
    Export(export::Arguments),
    /// Store an account that another installation exported, from standard input
    Import(import::Arguments),
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    match command {
        Command::List { json } => return options.list(json, async |here| list(here, json).await).await,
        Command::Add(arguments) => return add::add(&options.open_to_seal().await?, &arguments).await,
        Command::Import(arguments) => {
            return import::import(&options.open_to_seal().await?, &arguments).await;
        }
        Command::Export(arguments) => export::export(&options.open_existing().await?, &arguments).await?,
        Command::Remove { account, yes } => {
            let installation = options.open_existing().await?;
            let loss = format!(
                "{account} is removed with its aliases and passwords, and with its authorisation if no other account uses it."
            );
            agreement::to_loss(yes, &loss).await?;
            let account = accounts::remove(&installation, &account).await?;
            print::words(&format!(
                "{} is removed from here. At its provider the consent still stands; tokens revoke before accounts remove takes it back.",
                account.name
            ));
        }
        Command::Disable { account } => set_disabled(options, &account, true).await?,
        Command::Enable { account } => set_disabled(options, &account, false).await?,
        Command::Alias { account, name, yes } => {
            let installation = options.open_existing().await?;
            let alias = async |yes| accounts::alias(&installation, &account, &name, yes).await;
            let (account, _) = agreement::to_aliases(yes, alias).await?;
            print::words(&format!("Mail programs can log in to {} as {name}, too.", account.name));
        }
        Command::Unalias { account, name } => {
            let account = accounts::unalias(&options.open_existing().await?, &account, &name).await?;
            print::words(&format!("{name} no longer logs in to {}.", account.name));
        }
    }
    Ok(Done::Well)
}

async fn set_disabled(options: &Options, account: &str, disabled: bool) -> Result<(), Failure> {
    let installation = options.open_existing().await?;
    let (account, is_new) = accounts::set_disabled(&installation, account, disabled).await?;
    let (name, enable) = (&account.name, command::enable(&account.name));
    print::words(&match (disabled, is_new) {
        (true, true) => {
            format!("{name} lets no mail program in from now on, and its sessions end; {enable} ends that.")
        }
        (true, false) => format!("{name} is disabled already; {enable} ends that."),
        (false, true) => format!("{name} lets mail programs in again."),
        (false, false) => format!("{name} was not disabled."),
    });
    Ok(())
}

async fn list(installation: &Installation, json: bool) -> Result<Done, Failure> {
    let listed = accounts::list(installation).await?.into_iter().map(Account::from).collect();
    let heads = ["ACCOUNT", "PROVIDER", "PASSWORDS", "LAST LOGIN (UTC)", "FROM", "ALIASES", "STATE"];
    print::list(listed, json, &heads, row, || print::no_account_yet(&installation.config.state_directory))?;
    Ok(Done::Well)
}

fn row(account: Account) -> Vec<String> {
    vec![
        account.account,
        account.provider.unwrap_or_else(|| "-".to_owned()),
        account.passwords.to_string(),
        print::minute(account.last_login_at.as_deref()),
        account.last_login_from.unwrap_or_else(|| "-".to_owned()),
        account.aliases.join(", "),
        if account.disabled { "disabled" } else { "enabled" }.to_owned(),
    ]
}
