//! `sessions`: lists the sessions of the running `serve`, and ends them; those of all instances if they share a store.

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, running};
use crate::admin::{Request, SessionRow};
use crate::control::Installation;
use crate::control::audit::command_line;
use crate::control::sessions::{self, Asked, Heard};
use crate::surface::cures::causes;

/// The exit code of every command after which a person has to act.
const SOME_SILENT: u8 = 3;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the sessions after their login
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// End one session, or all of an account, with a last line in its protocol
    Close {
        /// A session's id, as `sessions list` shows it, or an account's name
        #[arg(value_name = "ID|ACCOUNT")]
        of: String,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    match command {
        Command::List { json } => list(options, json).await,
        Command::Close { of } => close(options, of).await,
    }
}

async fn list(options: &Options, json: bool) -> Result<Done, Failure> {
    let (Heard { mut sessions, .. }, done) = match everywhere(options, Asked::List).await? {
        Ok(heard) => heard,
        Err(_) => here(options, &Request::Sessions).await?,
    };
    sessions.sort_by(|one, other| one.since.cmp(&other.since));
    let heads = ["ID", "ACCOUNT", "PROTOCOL", "FROM", "SINCE", "PASSWORD", "UP", "DOWN", "CLIENT"];
    print::list(sessions, json, &heads, row, || print::words("No mail program is logged in."))?;
    Ok(done)
}

fn row(session: SessionRow) -> Vec<String> {
    let SessionRow { id, account, protocol, from, since, password, client_id, bytes_up, bytes_down } =
        session;
    let or_absent = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let (client, password) = (or_absent(client_id), or_absent(password));
    vec![id, account, protocol, from, since, password, bytes_up.to_string(), bytes_down.to_string(), client]
}

async fn close(options: &Options, of: String) -> Result<Done, Failure> {
    let asked = Asked::to_close(&of, command_line());
    let (Heard { closed, .. }, done) = match everywhere(options, asked).await? {
        Ok(heard) => heard,
        Err(alone) => {
            let request = Request::Close { of: of.clone(), by: None };
            let (heard, done) = here(options, &request).await?;
            // If sessions of this machine were closed, the command has succeeded: a warning has said that other
            // machines were not asked. If none were, the session may be on another machine.
            let is_alone = heard.closed == 0 && done == Done::Well;
            (heard, if is_alone { alone } else { done })
        }
    };
    match closed {
        0 if done == Done::NeedsPerson => {
            return Err(Failure::new(format!(
                "no session with the id {of:?}, or of an account of that name, was found; what did not answer may have \
                 one, and may still end it"
            ))
            .with_exit_code(SOME_SILENT)
            .hint("imap-oauth-proxy sessions list shows all; close it again if it is still there"));
        }
        0 => {
            return Err(Failure::new(format!(
                "no session has the id {of:?}, and none is of an account of that name"
            ))
            .hint("imap-oauth-proxy sessions list shows all"));
        }
        1 => print::words("1 session is told to end."),
        more => print::words(&format!("{more} sessions are told to end.")),
    }
    Ok(done)
}

/// The answers of this machine's processes.
async fn here(options: &Options, request: &Request) -> Result<(Heard, Done), Failure> {
    let answers = running::ask(options, request).await?;
    let done = running::done(&answers);
    match answers.failure() {
        Some(failure) => Err(Failure::new(failure)),
        None => Ok((answers.heard(), done)),
    }
}

/// Asks all instances. The inner error means that only this machine can be asked: with [`Done::Well`] because the store
/// is not shared, with [`Done::NeedsPerson`] because the store failed, which a warning reports.
async fn everywhere(options: &Options, asked: Asked) -> Result<Result<(Heard, Done), Done>, Failure> {
    let Some(config) = options.shared() else { return Ok(Err(Done::Well)) };
    let heard = async {
        let installation = Installation::open(config).await?;
        sessions::ask(&*installation.store, &installation.sealer, &asked).await
    };
    let heard = match heard.await {
        Ok(heard) => heard,
        Err(error) => {
            print::words(&format!("warning: only this machine is asked: {}", causes(&error)));
            return Ok(Err(Done::NeedsPerson));
        }
    };
    if heard.asked == 0 {
        return Err(Failure::new("no serve is running on the store that store.url names"));
    }
    heard.silent.iter().for_each(|silent| print::words(&format!("warning: {silent} did not answer")));
    let done = if heard.silent.is_empty() { Done::Well } else { Done::NeedsPerson };
    Ok(Ok((heard, done)))
}
