//! Asks every running `serve`, and reports those that do not answer.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::{Reply, Request, ask};

/// The answers of the running processes.
pub(super) struct Answers {
    pub(super) replies: Vec<Reply>,
    /// Whether every process answered.
    pub(super) are_complete: bool,
}

impl Answers {
    /// The result of a command: if a process did not answer, a person has to act.
    pub(super) fn done(&self) -> Done {
        match self.are_complete {
            true => Done::Well,
            false => Done::NeedsPerson,
        }
    }
}

/// Asks all processes, and prints a warning for each that does not answer.
pub(super) async fn ask(options: &Options, request: &Request) -> Result<Answers, Failure> {
    let ask::Answers { replies, silent } = ask::all_running(&options.state_directory()?, request).await?;
    silent.iter().for_each(|error| print::words(&format!("warning: {error}")));
    Ok(Answers { replies, are_complete: silent.is_empty() })
}
