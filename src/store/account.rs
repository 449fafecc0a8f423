//! Accounts, their login names and app passwords, as rows of the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::{Grant, GrantKind, Id, Limits};
use crate::protocol::SignInAs;
use crate::trouble::Trouble;

/// A case-folded login name. Look-ups take this type, so that no name is looked up with its original case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folded(String);

/// `name` in the form for comparisons.
pub fn fold(name: &str) -> Folded {
    Folded(name.to_lowercase())
}

/// Whether the account of that name serves a whole domain: `@corp.example`.
pub fn is_of_domain(name: &str) -> bool {
    name.starts_with('@')
}

/// Whether a person's consent can open this account: it is not disabled, serves no whole domain, and its `grant` is, or
/// was, a person's.
pub fn takes_consent(account: &Account, grant: Option<&Grant>) -> bool {
    let is_persons = grant.is_none_or(|grant| grant.kind() == GrantKind::Person);
    is_persons && !account.disabled && !is_of_domain(&account.name)
}

impl Folded {
    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A mailbox of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// The account's own mailbox.
    Own,
    /// The mailbox with this address, which the account of its domain opens.
    OfDomain(String),
}

/// The account that a mail program logs in to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Identity.
    pub id: Id,
    /// The login name as given, which is also the upstream user. `@corp.example` is the account of a domain.
    pub name: String,
    /// Other login names.
    pub aliases: Vec<String>,
    /// Its grant; `None` after the grant was revoked.
    pub grant: Option<Id>,
    /// When a mail program last logged in.
    pub last_login_at: Option<OffsetDateTime>,
    /// The address of that mail program.
    pub last_login_from: Option<String>,
    /// Troubles of this mailbox at the provider's mail servers, by the door's name, until a login there succeeds.
    pub troubles: BTreeMap<String, MailboxTrouble>,
    /// Whether every login is refused, even with a right password.
    pub disabled: bool,
    /// The name that the provider accepted at the last sign-in, if there are two.
    pub sign_in_as: Option<SignInAs>,
    /// The provider's last refusal within a session, until it accepts something of the same kind.
    pub refusal: Option<LastRefusal>,
}

/// A provider's refusal after the login, for example of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// When it was refused.
    pub at: OffsetDateTime,
    /// The name of the door.
    pub protocol: String,
    /// The provider's code.
    pub code: String,
    /// Cause and cure, without an address.
    pub trouble: Trouble,
}

impl Account {
    /// The worst of the account's troubles: a refused token before other troubles, the newer before the older.
    pub fn trouble(&self) -> Option<&MailboxTrouble> {
        self.troubles.values().max_by_key(|trouble| (trouble.count > 0, trouble.at))
    }
}

/// Why a door of a mailbox did not open with a fresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxTrouble {
    /// Cause and cure.
    pub trouble: Trouble,
    /// Number of times in a row.
    pub count: u32,
    /// When it last happened.
    #[serde(with = "super::dates::seconds")]
    pub at: OffsetDateTime,
    /// No new token is fetched for this door of the mailbox before this time.
    #[serde(with = "super::dates::seconds")]
    pub retry_at: OffsetDateTime,
}

/// An app password: not the password itself, only its verifier.
#[derive(Clone, Debug)]
pub struct AppPassword {
    /// Identity.
    pub id: Id,
    /// The account it opens.
    pub account: Id,
    /// Its name, unique in the account.
    pub name: String,
    /// Its verifier.
    pub verifier: Verifier,
    /// Its limits.
    pub limits: Limits,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// The address of that client.
    pub last_used_from: Option<String>,
}

/// The value that verifies an app password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// A keyed hash: enough for a password of 100 random bits and more.
    Generated(Vec<u8>),
    /// An argon2id hash in PHC form, for a password that a person chose.
    Chosen(String),
}

/// All data for a login, read in one step.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The account that the name stands for.
    pub account: Account,
    /// Its app passwords.
    pub passwords: Vec<AppPassword>,
    /// Its grant.
    pub grant: Option<Grant>,
}

/// An account in the form for lists.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// The account.
    pub account: Account,
    /// Its grant.
    pub grant: Option<Grant>,
    /// Number of its app passwords, those included whose last day is over.
    pub passwords: usize,
    /// Number of its app passwords whose last day is not over.
    pub in_force: usize,
    /// The nearest last day (UTC) of an app password in force.
    pub next_last_day: Option<Date>,
}

/// A successful login, to be stored.
#[derive(Clone, Debug)]
pub struct LoginNote {
    /// The account.
    pub account: Id,
    /// The app password that was used.
    pub password: Id,
    /// When.
    pub at: OffsetDateTime,
    /// The address of the client.
    pub from: String,
}

/// A finished authorisation, to be stored in one transaction.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The account's name.
    pub account: String,
    /// Further login names.
    pub aliases: Vec<String>,
    /// Its grant.
    pub grant: Granted,
    /// The identity of the account, if it is new.
    pub id: Id,
    /// An app password for the account, stored in the same transaction.
    pub password: Option<AppPassword>,
    /// Whether the account starts disabled.
    pub disabled: bool,
}

/// The grant of an [`Authorization`].
#[derive(Clone, Debug)]
pub enum Granted {
    /// A new grant, which replaces a grant with the same id.
    New(Box<Grant>),
    /// An existing grant, which does not change: its owner's, for a shared mailbox.
    Existing(Id),
    /// A grant that waits for a consent, for a new account. A grant of the same owner at the same provider stays as
    /// it is, and the account gets that: a consent may have come since the caller looked.
    Waiting(Box<Grant>),
}
