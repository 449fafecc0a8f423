//! The result of a command; a failure is printed as the chain of causes on one line, then hints.

use std::fmt;

use super::print;
use crate::admin::ask::AskError;
use crate::command;
use crate::config::{ConfigError, ConfigHint};
use crate::control::Error;
use crate::store::DirectoryError;
use crate::surface::cures::{as_that_user, chain, cures, of_foreign};
use crate::text::one_line;

/// A shell's exit code for a program that SIGINT ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// The result of a command that did not fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Everything was done.
    Well,
    /// A person has to act.
    NeedsPerson,
}

/// A command's failure.
#[derive(Debug)]
pub(super) struct Failure {
    error: anyhow::Error,
    hints: Vec<String>,
    exit_code: Option<u8>,
}

impl Failure {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { error: anyhow::anyhow!("{message}"), hints: Vec::new(), exit_code: None }
    }

    /// The failure was reported already.
    pub(super) fn silent() -> Self {
        Self::new("")
    }

    /// Ctrl-C was pressed.
    pub(super) fn interrupted() -> Self {
        Self::new("interrupted; nothing was stored").with_exit_code(INTERRUPTED)
    }

    /// Ctrl-C was pressed twice.
    pub(super) fn cut_off() -> Self {
        Self::new("interrupted; what was finished before is stored").with_exit_code(INTERRUPTED)
    }

    /// This failure with another exit code than the error's own.
    pub(super) fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code: Some(exit_code), ..self }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(super) fn print(&self) {
        let chain = chain(self.error.as_ref());
        if !chain.is_empty() {
            print::needed(&one_line(&format!("error: {chain}")));
        }
        for hint in &self.hints {
            print::needed(&format!("hint: {hint}"));
        }
    }

    /// 2 if the command line or the configuration is wrong.
    pub(super) fn exit_code(&self) -> u8 {
        if let Some(exit_code) = self.exit_code {
            return exit_code;
        }
        let of_configuration = self.error.is::<ConfigError>()
            || matches!(self.error.downcast_ref(), Some(Error::Config(_)))
            || self.error.is::<crate::logging::LogFilterError>();
        match of_configuration {
            true => 2,
            false => 1,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { hints: hints(&error), error, exit_code: None }
    }
}

/// The hints for any error of a command.
fn hints(error: &anyhow::Error) -> Vec<String> {
    if let Some(AskError::Directory(DirectoryError::Foreign { owner, path })) = error.downcast_ref() {
        return of_foreign(owner, path);
    }
    match (error.downcast_ref::<ConfigError>(), error.downcast_ref::<Error>()) {
        (Some(error), _) | (None, Some(Error::Config(error))) => {
            error.hint().map(of_configuration).into_iter().collect()
        }
        (None, Some(error)) => cures(error),
        (None, None) => Vec::new(),
    }
}

fn of_configuration(hint: &ConfigHint) -> String {
    match hint {
        ConfigHint::Words(words) => words.clone(),
        ConfigHint::AsUser(user) => as_that_user(user),
        ConfigHint::EveryKey => format!("`{}` shows every key", command::CONFIG_EXAMPLE),
    }
}
