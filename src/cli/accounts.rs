//! `accounts`: what mail programs log in to.

mod export;
mod import;
mod judge;

use serde::Serialize;

use super::failure::Failure;
use super::installation::{Installation, Options};
use super::interrupt::Uninterrupted;
use super::names::{check_aliases, check_login_name};
use super::result::rfc3339;
use super::{Done, print};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List the accounts
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove an account, its passwords, and its authorisation where no other account uses it
    Remove {
        /// The account
        account: String,
    },
    /// Let mail programs log in to an account under another name, too
    Alias {
        /// The account
        account: String,
        /// The other name
        name: String,
        /// Take a name that is another address than the account's without asking
        #[arg(long)]
        yes: bool,
    },
    /// Take such a name away again
    Unalias {
        /// The account
        account: String,
        /// The other name
        name: String,
    },
    /// Move an account's authorisation to another installation: prints it, sealed
    Export(export::Arguments),
    /// Take an account that another installation exported, from standard input
    Import(import::Arguments),
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let installation = Installation::open(options.load()?).await?;
    match command {
        Command::List { json } => list(&installation, json).await?,
        Command::Export(arguments) => export::export(&installation, &arguments).await?,
        Command::Import(arguments) => {
            installation.verify_key().await?;
            return import::import(&installation, &arguments).await;
        }
        Command::Remove { account } => {
            let account = installation.exact_account(&account).await?.account;
            let _removing = Uninterrupted::begin();
            installation.store.remove_account(&account.id).await?;
            print::words(&format!(
                "{} is removed from here. At its provider the consent still stands; tokens revoke before accounts remove takes it back.",
                account.name
            ));
        }
        Command::Alias { account, name, yes } => {
            check_login_name(&name)?;
            let account = installation.exact_account(&account).await?.account;
            check_aliases(&installation, &account.name, std::slice::from_ref(&name), yes).await?;
            installation.store.add_alias(&account.id, &name).await?;
            print::words(&format!("Mail programs can log in to {} as {name}, too.", account.name));
        }
        Command::Unalias { account, name } => unalias(&installation, &account, &name).await?,
    }
    Ok(Done::Well)
}

async fn unalias(installation: &Installation, account: &str, name: &str) -> Result<(), Failure> {
    let account = installation.exact_account(account).await?.account;
    if !installation.store.remove_alias(&account.id, name).await? {
        return Err(Failure::new(format!("{} has no alias {name:?}", account.name))
            .hint("imap-oauth-proxy accounts list shows all aliases"));
    }
    print::words(&format!("{name} no longer logs in to {}.", account.name));
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    account: String,
    aliases: Vec<String>,
    provider: Option<String>,
    owner: Option<String>,
    passwords: usize,
    last_login_at: Option<String>,
    last_login_from: Option<String>,
}

async fn list(installation: &Installation, json: bool) -> Result<(), Failure> {
    let grants = installation.store.grants().await?;
    let mut listed = Vec::new();
    for account in installation.store.accounts().await? {
        let grant = grants.iter().find(|grant| Some(&grant.id) == account.grant.as_ref());
        listed.push(Listed {
            passwords: installation.store.passwords(&account.id).await?.len(),
            account: account.name,
            aliases: account.aliases,
            provider: grant.map(|grant| grant.provider.clone()),
            owner: grant.map(|grant| grant.owner.clone()),
            last_login_at: rfc3339(account.last_login_at),
            last_login_from: account.last_login_from,
        });
    }
    if json {
        return Ok(print::json(&listed)?);
    }
    let rows: Vec<Vec<String>> = listed
        .into_iter()
        .map(|account| {
            vec![
                account.account,
                account.provider.unwrap_or_else(|| "-".to_owned()),
                account.passwords.to_string(),
                account.last_login_at.unwrap_or_else(|| "never".to_owned()),
                account.last_login_from.unwrap_or_else(|| "-".to_owned()),
                account.aliases.join(", "),
            ]
        })
        .collect();
    print::table(&["ACCOUNT", "PROVIDER", "PASSWORDS", "LAST LOGIN", "FROM", "ALIASES"], &rows);
    Ok(())
}
