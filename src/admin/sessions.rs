//! The sessions of every process of this installation, listed and ended for the page and the API: those of all instances
//! on a shared store, or else those of this machine, where the previous process keeps its own after an upgrade.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::ask::{self, Answers};
use super::site::Site;
use super::talk::{By, Request, SessionRow};
use crate::control::sessions::{Asked, Heard};
use crate::store::Actor;

/// Another process of this installation answers at once; one that hangs must not hold the page up.
const PATIENCE: Duration = Duration::from_secs(2);

/// All sessions, the newest first; those of silent instances are missing.
pub(super) async fn live(site: &Site) -> Heard {
    let mut live = match site.running.is_shared() {
        true => {
            let heard = site.running.ask_others(&Asked::List).await.inspect(|heard| {
                heard.silent.iter().for_each(|silent| warn!("{silent} has not listed its sessions"));
            });
            let mut heard = heard.unwrap_or_else(|error| silent(format!("every other one ({error})")));
            heard.sessions.splice(0..0, own(site));
            heard
        }
        false => match of_this_machine(site, &Request::Sessions).await {
            Some(answers) => Heard { silent: Vec::new(), ..answers.heard() },
            None => Heard { sessions: own(site), ..Heard::default() },
        },
    };
    live.sessions.sort_by(|one, other| other.since.cmp(&one.since));
    live
}

fn own(site: &Site) -> Vec<SessionRow> {
    site.running.sessions().iter().map(|session| SessionRow::of(session)).collect()
}

fn silent(place: String) -> Heard {
    Heard { silent: vec![place], ..Heard::default() }
}

/// The answers of all processes on this machine; `None` if they do not come in time.
async fn of_this_machine(site: &Site, request: &Request) -> Option<Answers> {
    let asked = ask::all_running(site.running.state_directory(), request);
    timeout(PATIENCE, asked).await.ok()?.ok()
}

/// Ends the session with the id `of`, or all sessions of the account with the name `of`.
pub(super) async fn end(site: &Site, of: &str, by: Actor) -> Heard {
    if site.running.is_shared() {
        let asked = Asked::to_close(of, by.clone());
        let (here, heard) = tokio::join!(site.running.close(of, by), site.running.ask_others(&asked));
        let heard = heard.unwrap_or_else(|error| {
            warn!("other instances were not asked to end sessions: {error}");
            silent("every other instance".to_owned())
        });
        heard.silent.iter().for_each(|silent| warn!("{silent} has not said whether it has ended sessions"));
        return Heard { closed: here + heard.closed, ..heard };
    }
    match site.running.close(of, by.clone()).await {
        0 => {
            let request = Request::Close { of: of.to_owned(), by: By::of(&by) };
            let answers = of_this_machine(site, &request).await;
            answers.map_or_else(|| silent("the processes of this machine".to_owned()), Answers::heard)
        }
        closed => Heard { closed, ..Heard::default() },
    }
}
