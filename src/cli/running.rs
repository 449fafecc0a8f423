//! Asks every running `serve`, and names those that give no answer.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::{Reply, Request, ask};

/// What those that run answered.
pub(super) struct Answers {
    pub(super) replies: Vec<Reply>,
    /// Whether each gave an answer.
    pub(super) are_complete: bool,
}

impl Answers {
    /// How a command ended that did what it could: one that runs without an answer needs a person.
    pub(super) fn done(&self) -> Done {
        match self.are_complete {
            true => Done::Well,
            false => Done::NeedsPerson,
        }
    }
}

/// Asks all; those that give no answer are named beside the answers of the others.
pub(super) async fn ask(options: &Options, request: &Request) -> Result<Answers, Failure> {
    let ask::Answers { replies, silent } = ask::all_running(&options.state_directory()?, request).await?;
    silent.iter().for_each(|error| print::words(&format!("warning: {error}")));
    Ok(Answers { replies, are_complete: silent.is_empty() })
}
