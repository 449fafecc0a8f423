//! `sessions`: lists the sessions of the running `serve`, and ends them.

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, running};
use crate::admin::{Reply, Request, SessionRow};

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
    let mut sessions: Vec<SessionRow> = Vec::new();
    let answers = running::ask(options, &Request::Sessions).await?;
    let done = answers.done();
    for reply in answers.replies {
        match reply {
            Reply::Session(session) => sessions.push(session),
            Reply::Failed(failure) => return Err(Failure::new(failure)),
            _ => {}
        }
    }
    sessions.sort_by(|one, other| one.since.cmp(&other.since));
    if json {
        print::json(&sessions)?;
        return Ok(done);
    }
    if sessions.is_empty() {
        print::words("No mail program is logged in.");
        return Ok(done);
    }
    let heads = ["ID", "ACCOUNT", "PROTOCOL", "FROM", "SINCE", "PASSWORD", "UP", "DOWN", "CLIENT"];
    let rows: Vec<_> = sessions.into_iter().map(row).collect();
    print::table(&heads, &rows);
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
    let mut closed = 0;
    let request = Request::Close { of: of.clone(), by: None };
    let answers = running::ask(options, &request).await?;
    let done = answers.done();
    for reply in answers.replies {
        match reply {
            Reply::Closed(count) => closed += count,
            Reply::Failed(failure) => return Err(Failure::new(failure)),
            _ => {}
        }
    }
    match closed {
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
