//! The mail passwords in a file of `USER:PASSWORD` lines.
//!
//! The first colon divides; a password may contain more of them, and blanks. Empty lines and lines that begin with `#`
//! are skipped. Errors name the line and never its password, nor a user that could be one.

use std::collections::HashMap;
use std::path::Path;

use super::scheme::Passwords;
use crate::control::error::{Error, ImportError};
use crate::secret::Secret;
use crate::store::fold;

pub(crate) struct PasswordsFile {
    /// The passwords by folded name.
    pub(crate) passwords: Passwords,
    /// Line and user, in the order of the file.
    users: Vec<(usize, String)>,
}

/// A line whose user has no account in the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmatched {
    pub(crate) line: usize,
    /// The user, if it has the form of an address: else the line may be the wrong way round.
    pub(crate) user: Option<String>,
}

impl PasswordsFile {
    /// Reads the `text` of `file`.
    pub(super) fn of(text: &Secret, file: &Path) -> Result<Self, Error> {
        let text = text.expose().strip_prefix('\u{feff}').unwrap_or(text.expose());
        let mut read = Self { passwords: Passwords::new(), users: Vec::new() };
        let mut lines: HashMap<String, usize> = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let (file, text, line) = (file.to_owned(), line, index + 1);
            let parts = text.split_once(':').map(|(user, password)| (user.trim(), password));
            let Some((user, password)) = parts.filter(|(user, text)| !user.is_empty() && !text.is_empty())
            else {
                return Err(ImportError::PasswordsFile { file, line }.into());
            };
            let folded = fold(user).as_str().to_owned();
            if let Some(first) = lines.insert(folded.clone(), line) {
                let user = shown(user).unwrap_or_else(|| "a user".to_owned());
                return Err(ImportError::PasswordTwice { file, line, user, first }.into());
            }
            read.passwords.insert(folded, Secret::new(password));
            read.users.push((line, user.to_owned()));
        }
        Ok(read)
    }

    /// The lines whose users have no account.
    pub(super) fn unmatched(&self, has_account: impl Fn(&str) -> bool) -> Vec<Unmatched> {
        let unmatched = self.users.iter().filter(|(_, user)| !has_account(user));
        unmatched.map(|(line, user)| Unmatched { line: *line, user: shown(user) }).collect()
    }
}

/// The user, if it cannot be a password: an address without anything that is unusual in one.
fn shown(user: &str) -> Option<String> {
    let is_usual = |c: char| c.is_alphanumeric() || "@._+-".contains(c);
    let (local, domain) = user.split_once('@')?;
    let is_address = !local.is_empty() && domain.contains('.') && user.chars().all(is_usual);
    is_address.then(|| user.to_owned())
}
