//! Mistakes with one kind of thing: tokens for the API, tables of accounts, files of another program, keys, and set-ups
//! of mail programs; and the parts of messages that depend on a value.

use std::path::PathBuf;

use crate::config::Door;
use crate::control::import::ini::IniFault;
use crate::secret::{KeyError, KeySource};

/// A mistake with a token for the API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiTokenError {
    #[error("the token's name must have 1 to 100 characters, none of them a control character or invisible")]
    Name,
    #[error("there is a token called {name:?} already")]
    Taken { name: String },
    #[error("there is no token called {name:?}")]
    Unknown { name: String },
    #[error("there are {most} tokens already")]
    TooMany { most: usize },
}

/// What is wrong with a line, or with the table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the line is not right as comma-separated values")]
    Line,
    #[error("the file is not UTF-8: save it as CSV UTF-8")]
    NotUtf8,
    #[error("the columns are account,provider,owner,alias,… in this order")]
    Head,
    #[error("the columns are separated by tabs: save the table as CSV, with commas or semicolons")]
    Tabs,
    #[error("the table has no account")]
    Empty,
    #[error("the table is longer than {most} accounts; add the rest in a second one")]
    TooLong { most: usize },
    #[error("the time for one answer was over before line {line}: the accounts from there on were not made")]
    OutOfTime { line: u64 },
    #[error("{name:?} is a login name in line {first} already")]
    NameTwice { name: String, first: u64 },
}

/// What is wrong with the files of the other program, or with the place for the new one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{}: line {line} is not UTF-8", file.display())]
    NotUtf8 { file: PathBuf, line: usize },
    #[error("{}: {fault}", file.display())]
    Ini { file: PathBuf, fault: IniFault },
    #[error("{}: line {line} is not right in a cache of accounts as JSON", file.display())]
    CacheJson { file: PathBuf, line: usize },
    #[error("{} is in another service, which cannot be asked from here", store.display())]
    RemoteCache { store: PathBuf },
    #[error("{}: line {line} is not USER:PASSWORD", file.display())]
    PasswordsFile { file: PathBuf, line: usize },
    #[error("{}: line {line} names {user} again, which line {first} has named", file.display())]
    PasswordTwice { file: PathBuf, line: usize, user: String, first: usize },
    #[error("the mail passwords are needed, and there is no terminal to ask for them")]
    NoPasswords,
    #[error("{} is no configuration of email-oauth2-proxy: it has neither a server nor an account", file.display())]
    NotEmailOauth2Proxy { file: PathBuf },
    #[error("{} is there already, and nothing is overwritten", file.display())]
    ConfigurationThere { file: PathBuf },
    #[error("{} may not be written to by the user that runs this command", directory.display())]
    DirectoryUnwritable { directory: PathBuf },
    #[error("there is no default place for the configuration, because HOME is not set")]
    NoPlaceForConfiguration,
}

/// Why a key does not seal. Nothing was sealed with it.
#[derive(Debug, thiserror::Error)]
#[allow(clippy::enum_variant_names, reason = "each says what is not")]
pub(crate) enum KeysError {
    #[error("key {key} is in {keys} here and seals nothing yet, because it is missing from {}", places.join(" and from "))]
    NotEverywhere { key: u32, keys: KeySource, places: Vec<String> },
    #[error(
        "key {key} is in {keys} here and seals nothing yet, because within {seconds} s {} did not say whether it has that key",
        places.join(" and ")
    )]
    NotTold { key: u32, keys: KeySource, places: Vec<String>, seconds: u64 },
    #[error(
        "the store is sealed with key {key}, and {keys} here has {} alone, so nothing can be stored from here",
        list(has)
    )]
    NotHere { key: u32, has: Vec<u32>, keys: KeySource },
    #[error("key {key} cannot be added: {error}")]
    NotAdded { key: u32, keys: KeySource, error: KeyError },
}

fn list(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("key {id}")).collect::<Vec<_>>().join(" and ")
}

/// What the account or the listeners lack for a set-up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("{domain} stands for a whole domain, and a mail program has one mailbox")]
    MailboxOfDomain { domain: String },
    #[error("no listener opens a door that this account has")]
    NoListener,
    #[error("a configuration profile needs a listener for {}, and this account has none", door.title())]
    ProfileNeedsDoor { door: Door },
}

pub(super) fn unknown_domain(account: &str) -> String {
    match account.contains('@') {
        true => format!("no provider is known for the domain of {account}"),
        false => format!("{account} is no address, so no domain tells its provider"),
    }
}

pub(super) fn why(error: Option<&std::io::Error>) -> String {
    error.map_or_else(|| "no answer within 20 s".to_owned(), ToString::to_string)
}
