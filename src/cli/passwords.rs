//! `passwords`: the app passwords of mail programs.

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, terminal};
use crate::control::Installation;
use crate::control::limits::{Limiting, clauses};
use crate::control::passwords::{self, Limited};
use crate::surface::passwords::{Created, Password};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a password for a mail program; it is shown only now
    Create {
        /// The account that it opens
        account: String,
        #[command(flatten)]
        name: PasswordName,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        stdin: bool,
        #[command(flatten)]
        limits: LimitArguments,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Limit a password: each given limit replaces the current one
    ///
    /// The other limits do not change. An empty value removes a limit: --protocols "", --from "", --expires "".
    #[command(group = clap::ArgGroup::new("limits").args(["protocols", "from", "expires"]).multiple(true).required(true))]
    Limit {
        /// The account that it opens
        account: String,
        #[command(flatten)]
        name: PasswordName,
        #[command(flatten)]
        limits: LimitArguments,
    },
    /// List passwords by name, with their last use and their limits
    List {
        /// Only those of this account
        account: Option<String>,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make a password invalid from now on
    Revoke {
        /// The account
        account: String,
        #[command(flatten)]
        name: PasswordName,
    },
}

/// A password's name, as the second argument or as an option.
#[derive(clap::Args)]
pub(super) struct PasswordName {
    /// Its name, such as the mail program or the device
    #[arg(value_name = "NAME", required_unless_present = "named", conflicts_with = "named")]
    name: Option<String>,
    /// The same name
    #[arg(id = "named", long = "name", value_name = "NAME")]
    named: Option<String>,
}

impl PasswordName {
    fn text(self) -> String {
        self.name.or(self.named).unwrap_or_default()
    }
}

#[derive(clap::Args)]
pub(super) struct LimitArguments {
    /// The protocols that it opens, of imap, pop3 and submission, such as "imap,submission". Without this limit:
    /// all
    #[arg(long, value_name = "LIST")]
    protocols: Option<String>,
    /// The networks in which it may be used, such as 192.168.7.0/24 or one address; can be given several times.
    /// Without this limit: everywhere
    #[arg(long, value_name = "NETWORK")]
    from: Vec<String>,
    /// The last day on which it works (UTC), as YYYY-MM-DD. Without this limit: it does not end
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
}

impl From<LimitArguments> for Limiting {
    fn from(arguments: LimitArguments) -> Self {
        let LimitArguments { protocols, from, expires } = arguments;
        Self { protocols, from, expires }
    }
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    match command {
        Command::List { account, json } => {
            return options.list(json, async |here| list(here, account.as_deref(), json).await).await;
        }
        Command::Create { account, name, stdin, limits, json } => {
            let installation = options.open_existing().await?;
            create(&installation, &account, &name.text(), stdin, &limits.into(), json).await?;
        }
        Command::Limit { account, name, limits } => {
            limit(&options.open_existing().await?, &account, &name.text(), &limits.into()).await?;
        }
        Command::Revoke { account, name } => {
            let name = name.text();
            let account = passwords::revoke(&options.open_existing().await?, &account, &name).await?;
            print::words(&format!("The password called {name:?} no longer opens {}.", account.name));
        }
    }
    Ok(Done::Well)
}

async fn create(
    installation: &Installation,
    account: &str,
    name: &str,
    stdin: bool,
    limits: &Limiting,
    json: bool,
) -> Result<(), Failure> {
    let account = installation.exact_account(account).await?.account;
    passwords::check_name(name)?;
    let limits = limits.judge()?;
    let chosen = match stdin {
        // Room for one byte more than the longest password, and for a line end.
        true => Some(passwords::chosen(&terminal::read_stdin(passwords::LONGEST_CHOSEN as u64 + 2).await?)?),
        false => None,
    };
    let password = passwords::create(installation, &account, name, chosen, limits).await?;
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

async fn limit(
    installation: &Installation,
    account: &str,
    name: &str,
    limits: &Limiting,
) -> Result<(), Failure> {
    let Limited { account, now, .. } = passwords::limit(installation, account, name, limits.judge()?).await?;
    let words = clauses(&now);
    let words = if words.is_empty() { "without any limit".to_owned() } else { words.join(", ") };
    print::words(&format!("The password called {name:?} opens {} from now on: {words}.", account.name));
    Ok(())
}

async fn list(installation: &Installation, account: Option<&str>, json: bool) -> Result<Done, Failure> {
    let entries = passwords::list(installation, account).await?;
    let listed: Vec<Password> = entries.into_iter().map(Password::new).collect();
    if json {
        print::json(&listed)?;
        return Ok(Done::Well);
    }
    let or_never = |value: &Option<String>| print::minute(value.as_deref());
    let rows = listed.into_iter().map(|password| {
        let mut row = vec![
            password.name,
            password.kind.to_owned(),
            or_never(&password.created_at),
            or_never(&password.last_used_at),
            password.last_used_from.unwrap_or_default(),
            password.limits,
        ];
        if account.is_none() {
            row.insert(0, password.account);
        }
        row
    });
    let mut heads = vec!["NAME", "KIND", "CREATED (UTC)", "LAST USED", "FROM", "LIMITS"];
    if account.is_none() {
        heads.insert(0, "ACCOUNT");
    }
    print::table(&heads, rows);
    Ok(Done::Well)
}
