//! Why a command failed, as a person reads it: the chain of causes on one line, then hints.

use std::fmt;

use crate::config::ConfigError;

/// A command's failure.
#[derive(Debug)]
pub(super) struct Failure {
    error: anyhow::Error,
    hints: Vec<String>,
}

impl Failure {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { error: anyhow::anyhow!("{message}"), hints: Vec::new() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(super) fn print(&self) {
        super::print::words(&format!("error: {}", self.chain()));
        for hint in &self.hints {
            super::print::words(&format!("hint: {hint}"));
        }
    }

    /// 2 where the command line or the configuration is wrong.
    pub(super) fn exit_code(&self) -> u8 {
        match self.error.is::<ConfigError>() || self.error.is::<crate::logging::LogFilterError>() {
            true => 2,
            false => 1,
        }
    }

    /// Each cause once: many messages hold their source's text already.
    fn chain(&self) -> String {
        let mut text = String::new();
        for cause in self.error.chain() {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&cause);
            }
        }
        text
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let hints = error.downcast_ref::<ConfigError>().and_then(ConfigError::hint).map(str::to_owned);
        Self { hints: hints.into_iter().collect(), error }
    }
}
