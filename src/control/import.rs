//! Moves from email-oauth2-proxy: its configuration and its refresh tokens become this program's.
//!
//! [`Old::read`] reads the file, [`Old::scheme`] plans the result, and [`apply`] does it. Before [`apply`] nothing
//! is written and no provider is asked: where refresh tokens rotate, a refresh cannot be undone.
//!
//! In email-oauth2-proxy the mail password encrypts an account's refresh token. Here it becomes an app password
//! and encrypts nothing. The new configuration is a new file; an existing one is never edited.

mod applying;
mod carried;
mod ignored;
pub(super) mod ini;
mod judging;
mod left;
mod listeners;
mod opening;
mod passwords;
mod scheme;
mod servers;
mod source;
mod tables;
mod target;
mod text;
mod used;
mod vault;

use std::path::Path;

use self::ini::Ini;
use self::source::Source;
use super::error::{Error, ImportError};
use crate::secret::Secret;
use crate::store::fold;

pub(crate) use applying::{Applied, Fate, Stopped, apply};
pub(crate) use judging::Obstacle;
pub(crate) use left::{Change, Ignored, Left, Why};
pub(crate) use opening::{Awaited, Token};
pub(crate) use passwords::{PasswordsFile, Unmatched};
pub(crate) use scheme::{Approach, Moving, Passwords, Scheme};
pub(crate) use target::Target;
pub(crate) use text::Sight;

/// Far above any configuration, and small enough to read at once.
const LONGEST: u64 = 8 * 1024 * 1024;
/// Prefix that names an AWS secret.
const AWS: &str = "aws:";
const CACHED: [&str; 7] = [
    "access_token",
    "access_token_expiry",
    "refresh_token",
    "token_salt",
    "token_iterations",
    "client_secret_encrypted",
    "last_activity",
];

/// A configuration of email-oauth2-proxy.
pub(crate) struct Old {
    source: Source,
}

impl Old {
    /// Reads it from `file`, and what is cached elsewhere from `cache`, to be moved to `target`.
    pub(crate) fn read(file: &Path, cache: Option<&Path>, target: &Target) -> Result<Self, Error> {
        let mut ini = parse(file, &read(file)?)?;
        let mut changes = ignored::of(&ini);
        if let Some(cache) = cache {
            changes.extend(lay_over(&mut ini, cache)?);
        }
        let directory = std::path::absolute(file)?.parent().map(Path::to_owned).unwrap_or_default();
        let keys = target.file.parent().map(Path::to_owned).unwrap_or_default();
        let source = Source::read(&ini, &directory, target.carried.existing.clone(), keys, changes);
        match source.servers.is_empty() && source.accounts.is_empty() && source.left.is_empty() {
            true => Err(ImportError::NotEmailOauth2Proxy { file: file.to_owned() }.into()),
            false => Ok(Self { source }),
        }
    }

    /// The accounts whose mail passwords are needed.
    pub(crate) fn asked(&self) -> Vec<String> {
        let scheme = self.scheme(&Passwords::new());
        let locked = scheme.locked().map(|left| left.section.clone());
        scheme.accounts.iter().map(|moving| moving.name.clone()).chain(locked).collect()
    }

    /// Whether `password` opens the encrypted values of the account of that name, if it has any.
    pub(crate) fn opens(&self, name: &str, password: &Secret) -> bool {
        let account = self.source.accounts.iter().find(|account| account.name == name);
        account.is_some_and(|account| opening::fits(account, password))
    }

    /// The lines of a file of passwords that belong to none of its accounts.
    pub(crate) fn unmatched(&self, passwords: &PasswordsFile) -> Vec<Unmatched> {
        let accounts = &self.source.accounts;
        passwords.unmatched(|user| accounts.iter().any(|account| fold(&account.name) == fold(user)))
    }

    pub(crate) fn scheme(&self, passwords: &Passwords) -> Scheme {
        Scheme::of(&self.source, passwords)
    }
}

/// The mail passwords in `file`.
pub(crate) fn passwords(file: &Path) -> Result<PasswordsFile, Error> {
    PasswordsFile::of(&read(file)?, file)
}

/// The text of a file that may hold secrets.
fn read(file: &Path) -> Result<Secret, Error> {
    use std::io::Read as _;

    let unreadable = |error| Error::Unreadable { file: file.to_owned(), error };
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::FileTooLong { file: file.to_owned(), most: LONGEST });
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(ImportError::NotUtf8 { file: file.to_owned(), line }.into())
        }
    }
}

fn parse(file: &Path, text: &Secret) -> Result<Ini, Error> {
    Ini::parse(text.expose()).map_err(|fault| ImportError::Ini { file: file.to_owned(), fault }.into())
}

/// Adds the values of a cache to `ini`: a file of the same form, or the JSON of a secrets manager.
fn lay_over(ini: &mut Ini, cache: &Path) -> Result<Vec<Change>, Error> {
    if cache.to_string_lossy().starts_with(AWS) {
        return Err(ImportError::RemoteCache { store: cache.to_owned() }.into());
    }
    let text = read(cache)?;
    let text_of = text.expose().strip_prefix('\u{feff}').unwrap_or(text.expose());
    let (cached, changes) = match text_of.trim_start().starts_with('{') {
        true => from_json(cache, text_of)?,
        false => (parse(cache, &text)?, Vec::new()),
    };
    for section in cached.sections().filter(|section| section.name.contains('@')) {
        for option in CACHED {
            if let Some(value) = cached.value(section, option) {
                ini.set(&section.name, option, value.text.clone());
            }
        }
    }
    Ok(changes)
}

/// The values of a JSON cache. A value that is no text is kept as it is written, and judged where it is used.
fn from_json(file: &Path, text: &str) -> Result<(Ini, Vec<Change>), Error> {
    let cached: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| ImportError::CacheJson { file: file.to_owned(), line: error.line() })?;
    let (mut ini, mut changes) = (Ini::empty(), Vec::new());
    for (account, options) in cached {
        let serde_json::Value::Object(options) = options else {
            changes.push(Change::CacheEntry { account });
            continue;
        };
        for (option, value) in options {
            let text = match value {
                serde_json::Value::Null => continue,
                serde_json::Value::String(text) => Secret::new(&text),
                other => Secret::new(other.to_string()),
            };
            ini.set(&account, &option, text);
        }
    }
    Ok((ini, changes))
}
