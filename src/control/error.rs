//! What any operation can fail with. Those that fail in ways of their own have an `Error` beside it, which holds
//! this one. A message is the cause; what cures it is the surface's to say.

use std::path::PathBuf;

use super::names::shape::NameFault;
use crate::account::PasswordError;
use crate::oauth::TokenError;
use crate::secret::{KeyError, SealError};
use crate::store::{DirectoryError, StoreError};
use crate::tls::{AuthorityError, ConnectorError};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The person's: nothing is called so.
    #[error("there is no account {name:?}")]
    NoAccount {
        /// As given.
        name: String,
    },
    /// The person's: only the account of the domain answers to that name.
    #[error("{name} has no account of its own; the account of its domain opens it")]
    OnlyItsDomain {
        /// As given.
        name: String,
    },
    /// The person's: no mail program or provider would take the name.
    #[error("{0:?} cannot be a login name")]
    LoginName(String),
    /// The person's: no person's grant opens a domain.
    #[error("{name:?} stands for a whole domain, which no person's authorisation opens")]
    PersonsDomain {
        /// As given.
        name: String,
    },
    /// The person's: the name of an account to be.
    #[error("the account {name:?} {fault}")]
    AccountName {
        /// As given.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// The person's: the name of an owner.
    #[error("the owner {name:?} {fault}")]
    OwnerName {
        /// As given.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// The person's: the name of an alias to be.
    #[error("the alias {name:?} {fault}")]
    AliasName {
        /// As given.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// The person's: the alias is taken.
    #[error("{alias:?} is already a login name of {owner}")]
    AliasOfAnother {
        /// As given.
        alias: String,
        /// The account whose name it is.
        owner: String,
    },
    /// The person's: the alias is the address of a person whose grant another account uses.
    #[error("{alias:?} is the owner of the authorisation of {owned}, so it cannot be an alias of {account}")]
    AliasOfOwner {
        /// As given.
        alias: String,
        /// The account that it was meant for.
        account: String,
        /// The account that uses the grant.
        owned: String,
    },
    /// To be asked about: the aliases are other addresses, and nothing said that this is meant.
    #[error(
        "{aliases} is not the address of {account}: a login under that name would open the mailbox of {account}"
    )]
    ForeignAliases {
        /// The account that they were meant for.
        account: String,
        /// As given.
        aliases: String,
    },
    /// The person's: the account has no such alias.
    #[error("{account} has no alias {name:?}")]
    NoAlias {
        /// The account's name.
        account: String,
        /// As given.
        name: String,
    },
    /// The person's: the name of an app password.
    #[error(
        "the password's name must have 1 to 100 characters, none of them a control character or invisible"
    )]
    PasswordName,
    /// The person's: the account has no app password of that name.
    #[error("{account} has no password called {name:?}")]
    NoPassword {
        /// The account's name.
        account: String,
        /// As given.
        name: String,
    },
    /// The person's: the chosen password is not one line.
    #[error("the password must be one line, without NUL")]
    PasswordLine,
    /// The person's: the chosen password.
    #[error("the password must have {least} to {most} characters")]
    PasswordLength {
        /// Shorter is guessed.
        least: usize,
        /// Longer is sent by no mail program.
        most: usize,
    },
    /// The administrator's: no provider of the configuration has that name.
    #[error("there is no provider {name:?}")]
    NoProvider {
        /// As given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The person's: the account's domain does not tell its provider.
    #[error("no provider is known for the domain of {account}")]
    UnknownDomain {
        /// The account's name.
        account: String,
        /// The names of providers that there are.
        known: Vec<String>,
    },
    /// That provider takes no other program's OAuth.
    #[error("{0}")]
    Unsupported(String),
    /// The administrator's: nothing can ask that provider for tokens.
    #[error(
        "{title} needs an OAuth client of your own before anybody can authorise: [providers.{name}] client_id is not set"
    )]
    NoClient {
        /// The provider's title.
        title: String,
        /// Its name in the configuration.
        name: String,
        /// How one is registered there, in numbered lines.
        registration: String,
    },
    /// The administrator's: the listeners show a certificate of the user's own.
    #[error("the listeners show your own certificate, {}; there is no CA of the proxy's own", .0.display())]
    OwnCertificate(PathBuf),
    /// The address that answers of sign-ins come to.
    #[error("callback.address {address} cannot be listened on: {error}")]
    Callback {
        /// As configured.
        address: std::net::SocketAddr,
        /// The operating system's reason.
        error: std::io::Error,
    },
    /// Another command removed it at this very moment.
    #[error("the authorisation is gone already")]
    GrantGone,
    /// The state directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The directory of the key file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A sealed value.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key of app passwords, or their hashing.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The proxy's own CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What TLS to a provider trusts.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// The client of a provider's token endpoint.
    #[error(transparent)]
    Client(#[from] TokenError),
}
