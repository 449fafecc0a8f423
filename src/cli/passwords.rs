//! `passwords`: what mail programs log in with.

use serde::Serialize;
use time::OffsetDateTime;

use super::failure::Failure;
use super::installation::{Installation, Options};
use super::{Done, print, terminal};
use crate::account::generate_password;
use crate::secret::Secret;
use crate::store::{Account, AppPassword, Id, Verifier};
use crate::text::{is_shown, quoted};

/// Anything shorter is guessed, whatever is done about it.
const SHORTEST_CHOSEN: usize = 8;
/// More than any mail program sends in a literal.
const LONGEST_CHOSEN: usize = 1024;

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
    check_name(name)?;
    let chosen = if stdin { Some(read_password().await?) } else { None };
    let password = add(installation, &account, name, chosen).await?;
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

/// Stores a password for `account`, `chosen` or a new one, and returns it.
async fn add(
    installation: &Installation,
    account: &Account,
    name: &str,
    chosen: Option<Secret>,
) -> Result<Secret, Failure> {
    let (password, row) = make(installation, &account.id, name, chosen).await?;
    installation.store.add_password(&row).await?;
    Ok(password)
}

/// A password for the account `id`, `chosen` or a new one, and the row to store.
pub(super) async fn make(
    installation: &Installation,
    id: &Id,
    name: &str,
    chosen: Option<Secret>,
) -> Result<(Secret, AppPassword), Failure> {
    let passwords = installation.passwords().await?;
    let (password, verifier) = match chosen {
        Some(password) => {
            let verifier: Verifier = passwords.chosen(&password).await?;
            (password, verifier)
        }
        None => {
            let password = generate_password();
            let verifier = passwords.generated(id, &password);
            (password, verifier)
        }
    };
    let row = AppPassword {
        id: Id::random(),
        account: id.clone(),
        name: name.to_owned(),
        verifier,
        created_at: OffsetDateTime::now_utc(),
        last_used_at: None,
        last_used_from: None,
    };
    Ok((password, row))
}

/// A name that a person can type again.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    match name.trim().is_empty() || name.len() > 100 || !name.chars().all(is_shown) {
        true => Err(Failure::new(
            "the password's name must have 1 to 100 characters, none of them a control character or invisible",
        )),
        false => Ok(()),
    }
}

/// One line of standard input, without its line end.
async fn read_password() -> Result<Secret, Failure> {
    let text = terminal::read_stdin(LONGEST_CHOSEN as u64 + 2).await?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.contains(['\n', '\r', '\0']) {
        return Err(Failure::new("the password must be one line, without NUL"));
    }
    if line.chars().count() < SHORTEST_CHOSEN || line.len() > LONGEST_CHOSEN {
        return Err(Failure::new(format!(
            "the password must have {SHORTEST_CHOSEN} to {LONGEST_CHOSEN} characters"
        ))
        .hint("without --stdin a good one is made"));
    }
    Ok(Secret::new(line))
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
    let account = installation.exact_account(account).await?.account;
    let passwords = installation.store.passwords(&account.id).await?;
    let listed: Vec<Listed> = passwords
        .into_iter()
        .map(|password| Listed {
            kind: match password.verifier {
                Verifier::Generated(_) => "generated",
                Verifier::Chosen(_) => "chosen",
            },
            name: password.name,
            created_at: super::result::rfc3339(Some(password.created_at)),
            last_used_at: super::result::rfc3339(password.last_used_at),
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
    let account = installation.exact_account(account).await?.account;
    if !installation.store.remove_password(&account.id, name).await? {
        return Err(Failure::new(format!("{} has no password called {name:?}", account.name))
            .hint(format!("imap-oauth-proxy passwords list {} shows its passwords", quoted(&account.name))));
    }
    print::words(&format!("The password called {name:?} no longer opens {}.", account.name));
    Ok(())
}
