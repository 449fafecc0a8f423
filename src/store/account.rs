//! Accounts, their login names and app passwords, as rows of the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Grant, Id, Limits};
use crate::protocol::SignInAs;
use crate::trouble::Trouble;

/// A login name as names are compared: case-folded. What is looked up is one of these, so that nothing can be
/// looked up as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folded(String);

/// `name`, as names are compared.
pub fn fold(name: &str) -> Folded {
    Folded(name.to_lowercase())
}

/// Whether an account of that name stands for a whole domain: `@corp.example`.
pub fn is_of_domain(name: &str) -> bool {
    name.starts_with('@')
}

impl Folded {
    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which mailbox of an account is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// Its own.
    Own,
    /// The one with this address, opened by the account of its domain.
    OfDomain(String),
}

/// What a mail program logs in to.
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
    /// The address it came from.
    pub last_login_from: Option<String>,
    /// What the provider's mail servers had against this mailbox, by the door's name, until a login there succeeds.
    pub troubles: BTreeMap<String, MailboxTrouble>,
    /// Whether it lets no mail program in, whatever the password.
    pub disabled: bool,
    /// Whose name the provider took at the last sign-in, where there are two to choose from.
    pub sign_in_as: Option<SignInAs>,
    /// What the provider refused in a session that was signed in, until it takes something of the kind.
    pub refusal: Option<LastRefusal>,
}

/// Something that the provider refused after the login, such as a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// When.
    pub at: OffsetDateTime,
    /// The name of the door.
    pub protocol: String,
    /// The provider's code.
    pub code: String,
    /// Cause and cure, without an address.
    pub trouble: Trouble,
}

impl Account {
    /// The worst of its troubles: a refused token before a remark, the newer before the older.
    pub fn trouble(&self) -> Option<&MailboxTrouble> {
        self.troubles.values().max_by_key(|trouble| (trouble.count > 0, trouble.at))
    }
}

/// Why a door of a mailbox did not open although its token was fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxTrouble {
    /// Cause and cure.
    pub trouble: Trouble,
    /// Times in a row.
    pub count: u32,
    /// When it was last met.
    #[serde(with = "super::dates::seconds")]
    pub at: OffsetDateTime,
    /// No other token is fetched for this door of the mailbox before this.
    #[serde(with = "super::dates::seconds")]
    pub retry_at: OffsetDateTime,
}

/// An app password: never the password itself, only what verifies it.
#[derive(Clone, Debug)]
pub struct AppPassword {
    /// Identity.
    pub id: Id,
    /// The account it opens.
    pub account: Id,
    /// The name a person gave it, unique in the account.
    pub name: String,
    /// What verifies it.
    pub verifier: Verifier,
    /// What it is limited to.
    pub limits: Limits,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// From which address.
    pub last_used_from: Option<String>,
}

/// What an app password is verified against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// A keyed hash: enough for a password of 100 random bits and more.
    Generated(Vec<u8>),
    /// An argon2id hash in PHC form, for a password that a person chose.
    Chosen(String),
}

/// Everything a login needs, read in one step.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The account that the name stands for.
    pub account: Account,
    /// Its app passwords.
    pub passwords: Vec<AppPassword>,
    /// Its grant.
    pub grant: Option<Grant>,
}

/// An account as lists show it.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// The account.
    pub account: Account,
    /// Its grant.
    pub grant: Option<Grant>,
    /// How many app passwords open it.
    pub passwords: usize,
}

/// A login that succeeded, to be remembered.
#[derive(Clone, Debug)]
pub struct LoginNote {
    /// The account.
    pub account: Id,
    /// The password that opened it.
    pub password: Id,
    /// When.
    pub at: OffsetDateTime,
    /// From which address.
    pub from: String,
}

/// A finished authorisation, to be stored in one transaction.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The account's name.
    pub account: String,
    /// Further login names.
    pub aliases: Vec<String>,
    /// What it may do.
    pub grant: Granted,
    /// The identity of the account, where it is new.
    pub id: Id,
    /// An app password for it, stored in the same moment.
    pub password: Option<AppPassword>,
    /// Whether it lets no mail program in from the first moment on.
    pub disabled: bool,
}

/// The grant of an [`Authorization`].
#[derive(Clone, Debug)]
pub enum Granted {
    /// To insert, or to replace where one of its id is there.
    New(Box<Grant>),
    /// One that is there, and stays as it is: its owner's, for a shared mailbox.
    Existing(Id),
    /// One that is there, in force or not, and stays as it is: an account that waits for the same consent.
    Waiting(Id),
}
