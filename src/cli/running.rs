//! Asks every running `serve`, and reports those that do not answer.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::Request;
use crate::admin::ask::{Answers, all_running};

/// The result of a command: if a process did not answer, a person has to act.
pub(super) fn done(answers: &Answers) -> Done {
    match answers.silent.is_empty() {
        true => Done::Well,
        false => Done::NeedsPerson,
    }
}

/// Asks all processes, and prints a warning for each that does not answer.
pub(super) async fn ask(options: &Options, request: &Request) -> Result<Answers, Failure> {
    let answers = all_running(&options.state_directory()?, request).await?;
    answers.silent.iter().for_each(|error| print::words(&format!("warning: {error}")));
    Ok(answers)
}
