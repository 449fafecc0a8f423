//! Why an operation failed. A message gives the cause; the surface adds the cure. There is one enum for all
//! operations, so that a surface renders them in one place.

mod kind;
mod single;
mod unproven;

use std::path::PathBuf;

pub(crate) use single::{ApiTokenError, ImportError, KeysError, SetupError, TableError};
use single::{unknown_domain, why};
pub(crate) use unproven::{LeftOut, Unproven};

use super::names::shape::{NameFault, OldName};
use crate::account::PasswordError;
use crate::config::{ConfigError, Door, Endpoint};
use crate::logging::LogFilterError;
use crate::oauth::{AuthorizeError, CallbackError, TokenError};
use crate::protocol::{NotListed, Refusal};
use crate::secret::bundle::BundleError;
use crate::secret::{KeyError, KeySource, SealError};
use crate::server::BindError;
use crate::store::{DirectoryError, Grant, RestoreError, StoreError};
use crate::tls::{AuthorityError, ConnectorError, IdentityError};
use crate::token::TokenFailure;
use crate::trouble::Cause;
use crate::upstream::DialError;

/// Why an operation failed. Nothing was changed, unless the message says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    // Accounts and their names.
    #[error("there is no account {name:?}")]
    NoAccount { name: String },
    #[error("{name} has no account of its own; the account of its domain opens it")]
    OnlyItsDomain { name: String },
    #[error("{0:?} cannot be a login name")]
    LoginName(String),
    #[error("{name:?} stands for a whole domain, which no person's authorisation opens")]
    PersonsDomain { name: String },
    #[error("the account {name:?} {fault}")]
    AccountName { name: String, fault: NameFault },
    #[error("the owner {name:?} {fault}")]
    OwnerName { name: String, fault: NameFault },
    #[error("the alias {name:?} {fault}")]
    AliasName { name: String, fault: NameFault },
    #[error("{alias:?} is already a login name of {owner}")]
    AliasOfAnother { alias: String, owner: String },
    #[error("{alias:?} is the owner of the authorisation of {owned}, so it cannot be an alias of {account}")]
    AliasOfOwner { alias: String, account: String, owned: String },
    /// Needs confirmation, because the command did not allow it.
    #[error(
        "{aliases} is not the address of {account}: a login under that name would open the mailbox of {account}"
    )]
    ForeignAliases { account: String, aliases: String },
    #[error("{account} has no alias {name:?}")]
    NoAlias { account: String, name: String },

    // App passwords.
    #[error(
        "the password's name must have 1 to 100 characters, none of them a control character or invisible"
    )]
    PasswordName,
    #[error("{account} has no password called {name:?}")]
    NoPassword { account: String, name: String },
    #[error("this version does not speak {name:?}")]
    NoProtocol { name: String, known: Vec<&'static str> },
    #[error("{text:?} is no network")]
    Network { text: String },
    #[error("{text:?} is neither a network nor an address: the address goes on behind the mask")]
    HostBits { text: String, whole: String, alone: String },
    #[error("the networks are too many, {most} at most")]
    TooManyNetworks { most: usize },
    #[error("{text:?} is no day")]
    Day { text: String },
    #[error("{day} is over")]
    DayOver { day: time::Date },
    #[error("the password must be one line, without NUL")]
    PasswordLine,
    #[error("the password must have {least} to {most} characters")]
    PasswordLength { least: usize, most: usize },

    // Providers.
    #[error("there is no provider {name:?}")]
    NoProvider { name: String, known: Vec<String> },
    #[error("{}", unknown_domain(account))]
    UnknownDomain { account: String, owner: Option<String>, known: Vec<String> },
    /// The provider accepts OAuth from no other program.
    #[error("{0}")]
    Unsupported(String),
    #[error(
        "{title} needs an OAuth client of your own before an account can be authorised: [providers.{name}] client_id is not set"
    )]
    NoClient { title: String, name: String, registration: String },
    #[error("{title} has a service account here, but no client that a person can consent to")]
    NoPersonsClient { title: String, name: String },
    #[error("{title} gives an application mail access through a service account only")]
    ServiceAccountOnly { title: String, name: String },
    #[error("no application sign-in is configured for {title}")]
    NoApplication { title: String, name: String },

    // Authorising: nothing is stored.
    #[error("an account for a whole domain needs the application's own sign-in")]
    DomainNeedsApplication { account: String },
    #[error(
        "--app needs an app password: an application's sign-in opens mailboxes without their owners, so only the app password guards them"
    )]
    ApplicationNeedsPassword,
    #[error("the redirect_uri {redirect_uri} does not lead to this machine by itself")]
    RedirectElsewhere { redirect_uri: String, account: String },
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error("no consent came within {seconds} s; nothing is stored")]
    NoConsent { seconds: u64 },
    /// A mistake of the surface.
    #[error("this is not the kind of answer that the sign-in waits for; nothing is stored")]
    OtherAnswer,
    #[error("{error}")]
    Provider { account: String, error: AuthorizeError },
    #[error("the provider gave no refresh token")]
    NoRefreshToken,
    #[error("{title} does not accept that refresh token: {error}")]
    RefreshTokenRefused { title: String, account: String, error: TokenError },
    #[error("{account} was removed, disabled or given to another owner meanwhile; nothing is stored")]
    NotMendedAnyMore { account: String },
    #[error("{} consented, but {owner} was expected; nothing is stored", names.join(" or "))]
    AnotherPerson { names: Vec<String>, owner: String, account: String, provider: Option<String> },
    #[error(
        "the authorisation of {owner} does not open the mailbox {account} over {}, so nothing is stored: {why}",
        door.title()
    )]
    NotTheOwners { owner: String, account: String, door: Door, why: Box<LeftOut> },
    #[error(
        "the application's token did not open the mailbox {mailbox} over {}, so nothing is stored: {why}",
        door.title()
    )]
    NotTheApplications { mailbox: String, door: Door, why: Box<LeftOut> },
    #[error(
        "the new authorisation did not open the mailbox {account} over {}, so nothing is stored: {unproven}",
        door.title()
    )]
    NotOpened { account: String, door: Door, unproven: Box<Unproven> },
    #[error("{title} has no server for {} here", door.title())]
    NoServerForDoor { title: String, name: String, door: Door },
    #[error("{} cannot be proven for {account} without one of its mailboxes", door.title())]
    NoMailboxToProve { account: String, door: Door },

    // Grants.
    #[error("the authorisation is gone already")]
    GrantGone,
    #[error("there is no authorisation for this account")]
    NoGrant { account: String },
    #[error("there is no authorisation for {account} to refresh")]
    NothingToRefresh { account: String },
    #[error("there is no authorisation for {account} to revoke")]
    NothingToRevoke { account: String },
    #[error("{account} has a token for each mailbox, fetched when it logs in")]
    TokenForEachMailbox { account: String },
    #[error("no new token for {account}: {failure}")]
    NotRefreshed { account: String, grant: Box<Grant>, failure: Box<TokenFailure> },
    #[error("{failure}")]
    NoToken { account: String, grant: Box<Grant>, failure: Box<TokenFailure> },

    // Moving to another installation.
    #[error("{account} has no authorisation here that could move")]
    NothingToMove { account: String },
    #[error("{account} is opened by the application's own key, so there is nothing to move")]
    ApplicationsKey { account: String, provider: String },
    #[error("{}", Cause::provider_unknown(provider))]
    NotConfigured { provider: String },
    #[error("{title} replaces the refresh token at each use, so two hosts with one grant would end it")]
    Rotates { title: String },
    #[error("the passphrase must have {least} characters or more")]
    ShortPassphrase { least: usize },
    #[error("the exported account could not be written, so it stays here: {0}")]
    NotWritten(std::io::Error),
    #[error("the exported account was made by another version of this program; update both")]
    AnotherVersion,
    #[error("the account needs [providers.{provider}], which is not configured here")]
    ProviderMissing { provider: String },
    #[error("the authorisation belongs to the client {theirs}, and [providers.{provider}] has another one")]
    AnotherClient { provider: String, theirs: String },
    #[error("the exported account is refused, and nothing was stored: {field}: {why}")]
    ParcelField { field: &'static str, why: String },
    #[error("{alias} is an alias of {account} here")]
    AliasHere { alias: String, account: String },
    #[error("{account} is here already, and nothing was changed")]
    AlreadyHere { account: String },
    #[error("the authorisation was removed again at the same moment")]
    RemovedAgain,
    #[error(transparent)]
    Bundle(#[from] BundleError),

    // Moving over from another program.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable { file: PathBuf, error: std::io::Error },
    #[error("{} cannot be written: {error}", file.display())]
    Unwritable { file: PathBuf, error: std::io::Error },
    #[error("{} is longer than {most} bytes", file.display())]
    FileTooLong { file: PathBuf, most: u64 },
    #[error(transparent)]
    Import(#[from] ImportError),

    // Many accounts at once.
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("{} is there already", file.display())]
    FileThere { file: PathBuf },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    ApiToken(#[from] ApiTokenError),

    // A running proxy.
    #[error("it is stopping, and takes no new configuration")]
    Stopping,

    // Keys.
    #[error("{keys} holds one key, and only you can add another")]
    ForeignKeys { keys: KeySource, current: u32 },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the old keys are kept, because they still seal {}", .0.join(", "))]
    KeysStillNeeded(Vec<String>),
    #[error("{what} cannot be opened, so the old key stays: {error}")]
    NotResealed { what: String, error: SealError },
    #[error("the transfer key in the store is damaged")]
    TransferKeyDamaged,

    // Steps of a check.
    #[error("{what} cannot be opened: {error}")]
    NotSealedHere { what: String, error: SealError },
    #[error("it has none, so no mail program can log in")]
    NoAppPassword { account: String },
    #[error("all that it has are over, so no mail program can log in")]
    AppPasswordsOver { account: String },
    #[error("an account for a whole domain must be the application's own, and this one is a person's")]
    DomainOfPerson { account: String },
    #[error(transparent)]
    OldName(OldName),
    #[error("the authorisation lacks the scope {}, without which there is no {}", lacking.join(" "), door.title())]
    DoorClosed { account: String, grant: Box<Grant>, door: Door, lacking: Vec<String>, wanted: Vec<Door> },
    #[error("the configuration has no provider {provider:?} with a client any more")]
    NoProviderWithClient { provider: String },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{host} was not found: {error}")]
    NotFound { host: String, error: std::io::Error },
    #[error("{endpoint} cannot be reached: {}", why(error.as_ref()))]
    Unreachable { endpoint: Endpoint, error: Option<std::io::Error> },
    #[error("{0} did not finish the handshake")]
    NoHandshake(Endpoint),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0} did not answer within 20 s")]
    Silent(Endpoint),
    #[error("{endpoint} did not answer {command} within 20 s")]
    SilentLook { endpoint: Endpoint, command: &'static str },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NotListed(#[from] NotListed),

    // This machine, and the parts below the operations.
    #[error("the listeners show your own certificate, {}; there is no CA of the proxy's own", .0.display())]
    OwnCertificate(PathBuf),
    #[error("{key} {address} cannot be listened on: {error}")]
    Address { key: &'static str, address: String, error: std::io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    LogFilter(#[from] LogFilterError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error(transparent)]
    Client(#[from] TokenError),
}
