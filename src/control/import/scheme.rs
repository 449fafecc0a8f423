//! What will be: listeners, providers and accounts, and what stays behind. Nothing is written or asked for.

use std::collections::HashMap;
use std::path::PathBuf;

use super::left::{Change, Left, Why};
use super::listeners::{Listening, Ports};
use super::source::{Account, Source};
use super::tables::{self, Table, Way};
use super::target::{Existing, Target};
use super::text::{Parts, Sight, text};
use crate::config::{Config, Security};
use crate::control::error::Error;
use crate::control::names::shape::fault_of_address;
use crate::control::passwords::{LONGEST_CHOSEN, SHORTEST_CHOSEN};
use crate::secret::Secret;
use crate::store::{GrantKind, fold};

/// What will be.
#[derive(Default)]
pub(crate) struct Scheme {
    pub(crate) listeners: Vec<Listening>,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) tables: Vec<Table>,
    pub(crate) accounts: Vec<Moving>,
    pub(crate) changes: Vec<Change>,
    pub(crate) left: Vec<Left>,
}

/// An account that moves.
pub(crate) struct Moving {
    pub(crate) name: String,
    /// The name of its provider's table.
    pub(crate) provider: String,
    pub(crate) kind: GrantKind,
    pub(crate) scopes: Vec<String>,
    /// What opens its mailbox.
    pub(crate) token: Token,
    /// The password that its mail program goes on sending.
    pub(crate) password: Option<Kept>,
}

/// What opens a mailbox that moves.
pub(crate) enum Token {
    /// A refresh token.
    Refresh(Secret),
    /// The application's own right.
    Application,
    /// Nothing yet: a person has to authorise the account.
    Awaited(Awaited),
}

/// Why a person has to authorise an account that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// There was no refresh token.
    NoToken,
    /// Its password was not given.
    NoPassword,
    /// The password that was given does not open it.
    WrongPassword,
    /// The value of this option cannot be right, so no password opens it.
    BadLock(&'static str),
}

/// A password that mail programs go on sending.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(super) secret: Secret,
    /// Whether it is too short for logins from other machines.
    pub(crate) is_short: bool,
    /// Whether something that it had locked has opened.
    pub(crate) is_proven: bool,
}

/// The mail passwords of accounts, by their names as they are compared.
pub(crate) type Passwords = HashMap<String, Secret>;

/// What a password did to what is locked of an account.
enum Opened {
    Nothing(Awaited),
    /// The client's secret and the refresh token, where there were such.
    All {
        secret: Option<Secret>,
        refresh_token: Option<Secret>,
        kept: Option<Kept>,
    },
}

impl Scheme {
    /// From a configuration of email-oauth2-proxy, and the passwords that are known.
    pub(super) fn of(source: &Source, passwords: &Passwords) -> Self {
        let Ports { listeners, certificate, changes, left } = Ports::of(&source.servers);
        let left = source.left.iter().cloned().chain(left).collect();
        let mut scheme = Self { listeners, certificate, changes, left, ..Self::default() };
        for account in &source.accounts {
            if let Err(why) = scheme.take(source, account, passwords) {
                scheme.left.push(Left { section: account.name.clone(), line: account.line, why });
            }
        }
        tables::settle_domains(&mut scheme.tables, &source.existing);
        scheme
    }

    fn take(&mut self, source: &Source, account: &Account, passwords: &Passwords) -> Result<(), Why> {
        if let Some(option) = account.placeholder {
            return Err(Why::Placeholder { option });
        }
        if account.name.starts_with('@') {
            return Err(self.catch_all(source, account));
        }
        let is_same =
            |other: &&Account| other.line != account.line && fold(&other.name) == fold(&account.name);
        if let Some(other) = source.accounts.iter().find(is_same) {
            return Err(Why::SameName { other: other.name.clone() });
        }
        if let Some(fault) = fault_of_address(&account.name) {
            return Err(Why::Name(fault));
        }
        let way = tables::way(account)?;
        let password = passwords.get(fold(&account.name).as_str());
        let (secret, token, kept) = match open(account, password) {
            Opened::Nothing(_) if needs_locked_secret(account) => return Err(Why::SecretLocked),
            Opened::Nothing(why) => (account.client_secret.clone(), Token::Awaited(why), None),
            Opened::All { secret: None, .. } if needs_locked_secret(account) => {
                return Err(Why::SecretLocked);
            }
            Opened::All { secret, refresh_token, kept } => {
                let why = account.bad_lock.filter(|_| account.refresh_token.is_some());
                let why = why.map_or(Awaited::NoToken, Awaited::BadLock);
                let token = refresh_token.map_or(Token::Awaited(why), Token::Refresh);
                (account.client_secret.clone().or(secret), token, kept)
            }
        };
        let secret = match (way, source.password_is_secret && account.certificate.is_none()) {
            (Way::Application, true) => Some(secret.or_else(|| password.cloned()).ok_or(Why::SecretLocked)?),
            _ => secret,
        };
        let table = tables::table(account, way, secret, &source.servers, &mut self.changes)?;
        Self::judge(&table)?;
        let provider = tables::put(&mut self.tables, table, &source.existing);
        let (kind, token) = match way {
            // The password is all that guards such a mailbox.
            Way::Application if kept.is_some() => (GrantKind::App, Token::Application),
            Way::Application => (GrantKind::App, Token::Awaited(token.awaited())),
            Way::Person { .. } => (GrantKind::Person, token),
        };
        let (name, scopes) = (account.name.clone(), account.scopes.clone());
        self.accounts.push(Moving { name, provider, kind, scopes, token, password: kept });
        Ok(())
    }

    /// Why a catch-all stays. One for an application has the table that an account for its domain needs.
    fn catch_all(&mut self, source: &Source, account: &Account) -> Why {
        if tables::way(account) != Ok(Way::Application) || account.name.len() == 1 {
            return Why::CatchAll { provider: None };
        }
        let secret = account.client_secret.clone();
        let table = tables::table(account, Way::Application, secret, &source.servers, &mut self.changes);
        match table.and_then(|table| Self::judge(&table).map(|()| table)) {
            Ok(table) => {
                Why::CatchAll { provider: Some(tables::put(&mut self.tables, table, &source.existing)) }
            }
            Err(why) => why,
        }
    }

    /// Whether the table alone makes a configuration.
    fn judge(table: &Table) -> Result<(), Why> {
        let mut tables = Vec::new();
        tables::put(&mut tables, table.clone(), &Existing::default());
        let alone = Parts { tables: &tables, ..Parts::default() };
        // The file of a service account's key is read when it is used.
        let text = text(alone, "state_directory = \"/\"\n", Sight::Written);
        match Config::parse(&text, None) {
            Ok(_) => Ok(()),
            Err(error) => Err(Why::Configuration { message: error.clause() }),
        }
    }

    /// Whether a listener shows a certificate of the proxy's own CA.
    pub(crate) fn shows_certificates(&self) -> bool {
        self.certificate.is_none()
            && self.listeners.iter().any(|listener| listener.security != Security::None)
    }

    /// Fails where all of it together is no configuration, such as two listeners on one port.
    pub(crate) fn judge_whole(&self, target: &Target) -> Result<(), Error> {
        Config::parse(&self.text(target, Sight::Written), Some(&target.file)).map(drop).map_err(Error::from)
    }

    /// The configuration as a file, with what `target` carries over from one that is there already.
    pub(crate) fn text(&self, target: &Target, sight: Sight) -> String {
        let Self { listeners, certificate, tables, .. } = self;
        text(Parts { listeners, certificate: certificate.as_ref(), tables }, target.carried(sight), sight)
    }
}

impl Token {
    fn awaited(self) -> Awaited {
        match self {
            Self::Awaited(why) => why,
            Self::Refresh(_) | Self::Application => Awaited::NoPassword,
        }
    }
}

fn needs_locked_secret(account: &Account) -> bool {
    account.client_secret.is_none() && account.client_secret_encrypted.is_some()
}

/// What of an account is locked with its password.
pub(super) fn locked(account: &Account) -> impl Iterator<Item = &str> {
    let secret = account.client_secret_encrypted.as_deref().filter(|_| needs_locked_secret(account));
    let refresh_token = account.refresh_token.as_deref();
    // It is of no use, and shows whether a password is right.
    let access_token = account.access_token.as_deref().filter(|_| secret.or(refresh_token).is_none());
    [secret, refresh_token, access_token].into_iter().flatten()
}

/// Opens what is locked of `account`.
fn open(account: &Account, password: Option<&Secret>) -> Opened {
    let values: Vec<&str> = locked(account).collect();
    if let (Some(option), false, None) = (account.bad_lock, values.is_empty(), password) {
        return Opened::Nothing(Awaited::BadLock(option));
    }
    let Some(password) = password else { return Opened::Nothing(Awaited::NoPassword) };
    let mut opened = match &account.lock {
        Some(lock) if !values.is_empty() => match lock.open(password, &values) {
            Some(opened) => opened.into_iter(),
            None => return Opened::Nothing(Awaited::WrongPassword),
        },
        // Without a salt what is locked has no key any more.
        _ => Vec::new().into_iter(),
    };
    let is_proven = opened.len() > 0;
    let mut next = |is_there: bool| if is_there { opened.next() } else { None };
    let secret = next(needs_locked_secret(account));
    let refresh_token = next(account.refresh_token.is_some());
    Opened::All { secret, refresh_token, kept: kept(password, is_proven) }
}

/// The password as an app password, where mail programs can send it here.
fn kept(password: &Secret, is_proven: bool) -> Option<Kept> {
    let text = password.expose();
    let can_be_sent = !text.is_empty() && text.len() <= LONGEST_CHOSEN && !text.contains(['\r', '\n', '\0']);
    let is_short = text.chars().count() < SHORTEST_CHOSEN;
    can_be_sent.then(|| Kept { secret: password.clone(), is_short, is_proven })
}
