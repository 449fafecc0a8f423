//! The cures of errors, as `hint:` lines.

use crate::admin::ask::AskError;
use crate::command;
use crate::config::{ConfigError, ConfigHint};
use crate::control::Error;
use crate::store::DirectoryError;
use crate::surface::cures::{as_that_user, cures, of_foreign};

/// The hints for any error of a command.
pub(super) fn of(error: &anyhow::Error) -> Vec<String> {
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
