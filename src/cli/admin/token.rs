//! `admin token`: bearer tokens for the API. A token is shown once, when it is made.

use crate::cli::failure::{Done, Failure};
use crate::cli::options::Options;
use crate::cli::print;
use crate::control::{Installation, api_tokens};
use crate::surface::api_tokens::{ApiToken, Created};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Make a token; it is shown only now
    Create {
        /// Its name, such as the program that uses it
        name: String,
        /// Let it read, and change nothing
        #[arg(long)]
        read_only: bool,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// List tokens by name, with their last use
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// End a token at once
    Revoke {
        /// Its name
        name: String,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    match command {
        Command::List { json } => return options.list(json, async |here| list(here, json).await).await,
        Command::Create { name, read_only, json } => {
            create(&options.open().await?, &name, read_only, json).await?;
        }
        Command::Revoke { name } => {
            api_tokens::revoke(&options.open().await?, &name).await?;
            print::words(&format!("The token called {name:?} opens nothing any more."));
        }
    }
    Ok(Done::Well)
}

async fn create(installation: &Installation, name: &str, read_only: bool, json: bool) -> Result<(), Failure> {
    let token = api_tokens::create(installation, name, read_only).await?;
    if json {
        return Ok(print::json(&Created { name, token: token.expose(), read_only })?);
    }
    let right = if read_only { "reads through the API" } else { "reads and changes through the API" };
    print::words(&format!("The token called {name:?} {right} from now on; it is shown only now:"));
    print::data(token.expose());
    Ok(())
}

async fn list(installation: &Installation, json: bool) -> Result<Done, Failure> {
    let listed = api_tokens::list(installation).await?.into_iter().map(ApiToken::from).collect();
    print::list(listed, json, &["NAME", "MAY", "CREATED (UTC)", "LAST USED"], row, || {
        print::words("There is no token for the API; imap-oauth-proxy admin token create NAME makes one.");
    })?;
    Ok(Done::Well)
}

fn row(token: ApiToken) -> Vec<String> {
    vec![
        token.name,
        if token.read_only { "reads" } else { "reads and changes" }.to_owned(),
        print::minute(token.created_at.as_deref()),
        print::minute(token.last_used_at.as_deref()),
    ]
}
