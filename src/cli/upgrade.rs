//! `upgrade`: lets the program on disk take over from every running `serve`, without losing a session.

use super::failure::{Done, Failure};
use super::options::Options;
use super::progress::Progress;
use super::{print, running};
use crate::admin::{Reply, Request};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let waiting = Progress::of("Starting the new program");
    let answers = running::ask(options, &Request::Upgrade).await?;
    drop(waiting);
    let mut taken_over = false;
    for reply in &answers.replies {
        // A process without this reply has a successor already, or is stopping.
        if let Reply::TakenOver(pid) = reply {
            taken_over = true;
            print::words(&format!(
                "Process {pid} has taken over; the previous one ends with its last session."
            ));
        }
    }
    match (answers.failure(), taken_over) {
        (Some(failure), _) => {
            let what = match !taken_over && answers.silent.is_empty() {
                true => "the upgrade failed, and nothing has changed",
                false => "not every running serve was taken over",
            };
            Err(Failure::new(format!("{what}: {failure}")))
        }
        (None, false) => Err(Failure::new("the running serve is stopping, so nothing takes over from it")),
        (None, true) => Ok(running::done(&answers)),
    }
}
