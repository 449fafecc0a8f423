//! `passwords`: what mail programs log in with.

use serde::Serialize;

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, terminal};
use crate::control::{Installation, passwords};
use crate::store::Verifier;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a password for a mail program; it is shown this once
    Create {
        /// The account that it opens
        account: String,
        /// A name for it, such as the mail program or the device
        #[arg(long)]
        name: String,
        /// Take the password from standard input instead of making one
        #[arg(long)]
        stdin: bool,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// List an account's passwords by name, with their last use
    List {
        /// The account
        account: String,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make a password useless from now on
    Revoke {
        /// The account
        account: String,
        /// The password's name
        name: String,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let installation = Installation::open(options.load()?).await?;
    match command {
        Command::Create { account, name, stdin, json } => {
            create(&installation, &account, &name, stdin, json).await?;
        }
        Command::List { account, json } => list(&installation, &account, json).await?,
        Command::Revoke { account, name } => revoke(&installation, &account, &name).await?,
    }
    Ok(Done::Well)
}

#[derive(Serialize)]
struct Created<'a> {
    account: &'a str,
    name: &'a str,
    password: &'a str,
}

async fn create(
    installation: &Installation,
    account: &str,
    name: &str,
    stdin: bool,
    json: bool,
) -> Result<(), Failure> {
    let account = installation.exact_account(account).await?.account;
    passwords::check_name(name)?;
    let chosen = match stdin {
        // One more byte than fits, and a line end.
        true => Some(passwords::chosen(&terminal::read_stdin(passwords::LONGEST_CHOSEN as u64 + 2).await?)?),
        false => None,
    };
    let password = passwords::create(installation, &account, name, chosen).await?;
    if json {
        print::json(&Created { account: &account.name, name, password: password.expose() })?;
        return Ok(());
    }
    match stdin {
        true => print::words(&format!(
            "{} can be opened with that password, called {name:?}, from now on.",
            account.name
        )),
        false => {
            print::words(&format!("The password called {name:?} for {}, shown this once:", account.name));
            print::data(password.expose());
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    name: String,
    kind: &'static str,
    created_at: Option<String>,
    last_used_at: Option<String>,
    last_used_from: Option<String>,
}

async fn list(installation: &Installation, account: &str, json: bool) -> Result<(), Failure> {
    let listed: Vec<Listed> = passwords::list(installation, account)
        .await?
        .into_iter()
        .map(|password| Listed {
            kind: match password.verifier {
                Verifier::Generated(_) => "generated",
                Verifier::Chosen(_) => "chosen",
            },
            name: password.name,
            created_at: print::rfc3339(Some(password.created_at)),
            last_used_at: print::rfc3339(password.last_used_at),
            last_used_from: password.last_used_from,
        })
        .collect();
    if json {
        return Ok(print::json(&listed)?);
    }
    let or_never = |value: &Option<String>| value.clone().unwrap_or_else(|| "never".to_owned());
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|password| {
            let from = password.last_used_from.clone().unwrap_or_default();
            vec![
                password.name.clone(),
                password.kind.to_owned(),
                or_never(&password.created_at),
                or_never(&password.last_used_at),
                from,
            ]
        })
        .collect();
    print::table(&["NAME", "KIND", "CREATED", "LAST USED", "FROM"], &rows);
    Ok(())
}

async fn revoke(installation: &Installation, account: &str, name: &str) -> Result<(), Failure> {
    let account = passwords::revoke(installation, account, name).await?;
    print::words(&format!("The password called {name:?} no longer opens {}.", account.name));
    Ok(())
}
