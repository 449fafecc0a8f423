//! Moving over from email-oauth2-proxy: its configuration becomes one of this program, its refresh tokens become grants.
//!
//! [`Old::read`] takes the file as it is, [`Old::scheme`] says what will be, and [`apply`] does it. Until then nothing is
//! written and nothing is asked for: at providers that rotate, a refresh is a step that cannot be taken back.
//!
//! The mail password of an account opens its refresh token there; here it stays what the mail program sends, as an app
//! password, and is the key of nothing. What was configured is never edited: the new configuration is a new file.

mod applying;
pub(super) mod error;
pub(super) mod ini;
mod left;
mod listeners;
mod scheme;
mod source;
mod tables;
mod target;
mod text;
mod vault;

use std::path::Path;

use self::error::ImportError;
use self::ini::Ini;
use self::source::Source;
use super::error::Error;
use crate::secret::Secret;
use crate::store::fold;

pub(crate) use applying::{Applied, Fate, apply};
pub(crate) use left::{Change, Left, Why};
pub(crate) use scheme::{Awaited, Moving, Passwords, Scheme, Token};
pub(crate) use target::Target;
pub(crate) use text::Sight;

/// Far above any configuration, and little enough to be read at once.
const LONGEST: u64 = 8 * 1024 * 1024;
/// What the store of another program's service is named by.
const AWS: &str = "aws:";
/// The options that a cache may hold.
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
        if let Some(cache) = cache {
            lay_over(&mut ini, cache)?;
        }
        let directory = std::path::absolute(file)?.parent().map(Path::to_owned).unwrap_or_default();
        let source = Source::read(&ini, &directory, target.existing().clone());
        match source.servers.is_empty() && source.accounts.is_empty() && source.left.is_empty() {
            true => Err(ImportError::NotEmailOauth2Proxy { file: file.to_owned() }.into()),
            false => Ok(Self { source }),
        }
    }

    /// The accounts whose mail passwords are of use.
    pub(crate) fn asked(&self) -> Vec<String> {
        let Scheme { accounts, left, .. } = self.scheme(&Passwords::new());
        let locked = left.into_iter().filter(|left| left.why == Why::SecretLocked).map(|left| left.section);
        accounts.into_iter().map(|moving| moving.name).chain(locked).collect()
    }

    /// Whether `password` opens what is locked of the account of that name; what has nothing locked takes any.
    pub(crate) fn opens(&self, name: &str, password: &Secret) -> bool {
        let Some(account) = self.source.accounts.iter().find(|account| account.name == name) else {
            return false;
        };
        let locked: Vec<&str> = scheme::locked(account).collect();
        match &account.lock {
            Some(lock) if !locked.is_empty() => lock.open(password, &locked).is_some(),
            _ => true,
        }
    }

    /// What will be.
    pub(crate) fn scheme(&self, passwords: &Passwords) -> Scheme {
        Scheme::of(&self.source, passwords)
    }
}

/// The mail passwords in a file of `USER:PASSWORD` lines; empty lines and comments with `#` are none.
pub(crate) fn passwords(file: &Path) -> Result<Passwords, Error> {
    let text = read(file)?;
    let text = text.expose().strip_prefix('\u{feff}').unwrap_or(text.expose());
    let mut passwords = Passwords::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fault =
            |fault| Error::from(ImportError::PasswordsFile { file: file.to_owned(), line: index + 1, fault });
        let (user, password) = line.split_once(':').ok_or_else(|| fault("is not USER:PASSWORD"))?;
        if password.is_empty() || user.trim().is_empty() {
            return Err(fault("is not USER:PASSWORD"));
        }
        if passwords.insert(fold(user.trim()).as_str().to_owned(), Secret::new(password)).is_some() {
            return Err(fault("names a user again"));
        }
    }
    Ok(passwords)
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

/// Lays what is cached in another file over `ini`: the same form, or the JSON that is kept in a secrets manager.
fn lay_over(ini: &mut Ini, cache: &Path) -> Result<(), Error> {
    if cache.to_string_lossy().starts_with(AWS) {
        return Err(ImportError::RemoteCache { store: cache.to_owned() }.into());
    }
    let text = read(cache)?;
    let cached = match text.expose().trim_start().starts_with('{') {
        true => from_json(cache, &text)?,
        false => parse(cache, &text)?,
    };
    for section in cached.sections().filter(|section| section.name.contains('@')) {
        for option in CACHED {
            if let Some(value) = cached.value(section, option) {
                ini.set(&section.name, option, value.text.clone());
            }
        }
    }
    Ok(())
}

fn from_json(file: &Path, text: &Secret) -> Result<Ini, Error> {
    type Cached = std::collections::HashMap<String, std::collections::HashMap<String, Secret>>;
    let cached: Cached = serde_json::from_str(text.expose())
        .map_err(|error| ImportError::CacheJson { file: file.to_owned(), line: error.line() })?;
    let mut ini = Ini::empty();
    for (section, options) in cached {
        for (option, text) in options {
            ini.set(&section, &option, text);
        }
    }
    Ok(ini)
}
