//! `upgrade`: has the program on disk take over from every running `serve`, without a lost session.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::{Reply, Request, ask};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let state_directory = options.state_directory()?;
    let (mut failures, mut taken_over) = (Vec::new(), false);
    for reply in ask::all_running(&state_directory, &Request::Upgrade).await?.into_iter().flatten() {
        match reply {
            Reply::TakenOver(pid) => {
                taken_over = true;
                print::words(&format!(
                    "Process {pid} has taken over; the one before it ends with its last session."
                ));
            }
            Reply::Failed(failure) => failures.push(failure),
            // It has been taken over before, or is told to stop.
            _ => {}
        }
    }
    match (failures.into_iter().next(), taken_over) {
        (Some(failure), _) => {
            Err(Failure::new(format!("the upgrade failed, and nothing has changed: {failure}")))
        }
        (None, false) => Err(Failure::new("the running serve is stopping, so nothing takes over from it")),
        (None, true) => Ok(Done::Well),
    }
}
