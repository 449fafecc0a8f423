//! Why a configuration of another program is not moved over.

use std::path::PathBuf;

use super::ini::IniFault;

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
    #[error("{}: line {line} {fault}", file.display())]
    PasswordsFile { file: PathBuf, line: usize, fault: &'static str },
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
