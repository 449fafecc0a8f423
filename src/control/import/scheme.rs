//! The plan: listeners, providers, accounts, and sections that are not moved. Writes and asks nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::carried::Existing;
use super::left::{Change, Left, Why};
use super::listeners::{Listening, Ports};
use super::opening::{Kept, Opened, Token, needs_locked_secret, open};
use super::source::{Account, Source};
use super::tables::{self, Application, Table, Way};
use super::target::Target;
use super::text::{Parts, Sight, key_file, text};
use super::used::Used;
use crate::config::{Config, Security};
use crate::control::names::shape::fault_of_address;
use crate::secret::Secret;
use crate::store::{GrantKind, fold};

/// The plan.
#[derive(Default)]
pub(crate) struct Scheme {
    pub(crate) listeners: Vec<Listening>,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    /// The address of the administration, if it is not the default.
    admin: Option<SocketAddr>,
    pub(crate) tables: Vec<Table>,
    pub(crate) accounts: Vec<Moving>,
    pub(crate) changes: Vec<Change>,
    pub(crate) left: Vec<Left>,
    /// Token URL, client and its secret, as far as they are known.
    secrets: Vec<(Option<String>, Option<String>, Secret)>,
    /// The mail servers of its tables.
    used: Used,
}

pub(crate) struct Moving {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) kind: GrantKind,
    /// How a person consents, if it is not in a browser of this machine.
    pub(crate) approach: Option<Approach>,
    pub(crate) scopes: Vec<String>,
    pub(crate) token: Token,
    /// The password that its mail program continues to send.
    pub(crate) password: Option<Kept>,
}

/// A way to consent without a browser of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    /// A code on another device: the account's flow there.
    Device,
    /// The address at which the browser ends is pasted, because a redirect by https is not received here.
    Paste,
}

impl Approach {
    fn of(way: Way, table: &Table) -> Option<Self> {
        let by_https = table.redirect_uri.as_ref().is_some_and(|uri| uri.starts_with("https:"));
        match way {
            Way::Person { device: true } if table.takes_device() => Some(Self::Device),
            Way::Person { .. } if by_https => Some(Self::Paste),
            Way::Person { .. } | Way::Application => None,
        }
    }
}

/// The mail passwords of accounts, by folded name.
pub(crate) type Passwords = HashMap<String, Secret>;

impl Scheme {
    /// The plan for a configuration of email-oauth2-proxy and the known passwords.
    pub(super) fn of(source: &Source, passwords: &Passwords) -> Self {
        let Ports { listeners, certificate, admin, changes, left } = Ports::of(&source.servers);
        let left = source.left.iter().cloned().chain(left).collect();
        let changes = source.changes.iter().cloned().chain(changes).collect();
        let mut scheme = Self { listeners, certificate, admin, changes, left, ..Self::default() };
        // An account whose client's secret cannot be opened may find it in another account's section.
        let opened = source
            .accounts
            .iter()
            .map(|account| (account, open(account, passwords.get(fold(&account.name).as_str()))));
        let (locked, known): (Vec<_>, Vec<_>) =
            opened.partition(|(account, opened)| needs_locked_secret(account) && opened.secret.is_none());
        for (account, opened) in known.into_iter().chain(locked) {
            if let Err(why) = scheme.take(source, account, opened) {
                if why.needs_password() {
                    scheme.will_use(source, account);
                }
                scheme.left.push(Left { section: account.name.clone(), line: account.line, why });
            }
        }
        let place = |moving: &Moving| source.accounts.iter().position(|account| account.name == moving.name);
        scheme.accounts.sort_by_key(place);
        tables::settle_domains(&mut scheme.tables, &source.existing);
        scheme.changes.extend(scheme.used.unused(&source.servers, &scheme.listeners));
        if scheme.listeners.is_empty() && !scheme.is_empty() {
            scheme.changes.push(Change::UsualPorts);
        }
        scheme
    }

    fn take(&mut self, source: &Source, account: &Account, opened: Opened) -> Result<(), Why> {
        if let Some(option) = account.placeholder {
            return Err(Why::Placeholder { option });
        }
        if let Some(option) = account.with_credentials() {
            return Err(Why::Credentials { option });
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
        let Opened { secret, token, kept, password } = opened;
        let secret = match account.client_secret.clone().or(secret) {
            None if needs_locked_secret(account) => self.secret_of_client(account, way)?,
            None if password_is_secret(source, account, way) => Some(password.ok_or(Why::SecretIsPassword)?),
            secret => secret,
        };
        if let Some(secret) = &secret {
            self.secrets.push((account.token_url.clone(), account.client_id.clone(), secret.clone()));
        }
        let has_no_secret = secret.is_none() && needs_locked_secret(account);
        let table = tables::table(account, way, secret, &source.servers, &mut self.changes)?;
        Self::judge(&table)?;
        self.used.add(&table, account);
        let approach = Approach::of(way, &table);
        let provider = self.put(table, source);
        if has_no_secret {
            let (account, provider) = (account.name.clone(), provider.clone());
            self.changes.push(Change::SecretLocked { account, provider });
        }
        let (kind, token) = match way {
            // Only the password guards such a mailbox.
            Way::Application if kept.is_some() => (GrantKind::App, Token::Application),
            Way::Application => (GrantKind::App, Token::Awaited(token.awaited())),
            Way::Person { .. } => (GrantKind::Person, token),
        };
        let (name, scopes) = (account.name.clone(), account.scopes.clone());
        self.accounts.push(Moving { name, provider, kind, approach, scopes, token, password: kept });
        Ok(())
    }

    /// Notes the servers of an account that moves as soon as its password is known.
    fn will_use(&mut self, source: &Source, account: &Account) {
        let secret = Some(Secret::new("not known yet"));
        let mut unsaid = Vec::new();
        if let Ok(table) = tables::table(account, Way::Application, secret, &source.servers, &mut unsaid) {
            self.used.add(&table, account);
        }
    }

    /// The secret that another account of the same client has. Without one an application's account cannot move.
    fn secret_of_client(&self, account: &Account, way: Way) -> Result<Option<Secret>, Why> {
        let is_same = |(token_url, client_id, _): &&(Option<String>, Option<String>, Secret)| {
            *token_url == account.token_url && *client_id == account.client_id
        };
        match self.secrets.iter().find(is_same) {
            Some((.., secret)) => Ok(Some(secret.clone())),
            None if way == Way::Application => Err(Why::SecretLocked),
            None => Ok(None),
        }
    }

    /// The name of the table, which the existing configuration may have.
    fn put(&mut self, table: Table, source: &Source) -> String {
        let is_there = |name: &&String| {
            let named = Table { name: (*name).clone(), ..table.clone() };
            let alone = Parts { tables: &[named], keys: Some(&source.keys), ..Parts::default() };
            let written = text(alone, "", Sight::Written).parse::<toml::Table>().unwrap_or_default();
            let providers = written.get("providers").and_then(toml::Value::as_table);
            let own = providers.and_then(|providers| providers.get(*name)?.as_table());
            own.is_some_and(|own| source.existing.has(name, own))
        };
        let wanted = table.redirect_uri.clone();
        let name = match source.existing.tables.keys().find(is_there) {
            Some(name) => name.clone(),
            None => tables::put(&mut self.tables, table, &source.existing),
        };
        let written = self.tables.iter().find(|table| table.name == name);
        let kept = written.map_or(source.existing.redirect_uri(&name), |table| table.redirect_uri.as_deref());
        if let Some(kept) = kept.filter(|kept| Some(*kept) != wanted.as_deref()) {
            let change = Change::OneRedirect { provider: name.clone(), uri: kept.to_owned() };
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        name
    }

    /// Why a catch-all is not moved. An application's gets the table that an account for its domain needs.
    fn catch_all(&mut self, source: &Source, account: &Account) -> Why {
        if tables::way(account) != Ok(Way::Application) || account.name.len() == 1 {
            return Why::CatchAll { provider: None };
        }
        // A table without a secret is written for a person to complete.
        let lacks_secret = password_is_secret(source, account, Way::Application);
        let secret = account.client_secret.clone().or(lacks_secret.then(|| Secret::new("")));
        let table = tables::table(account, Way::Application, secret, &source.servers, &mut self.changes);
        let table = table.map(|table| Table {
            client_secret: table.client_secret.filter(|secret| !secret.is_empty()),
            ..table
        });
        match table.and_then(|table| Self::judge(&table).map(|()| table)) {
            Ok(table) => {
                self.used.add(&table, account);
                let provider = self.put(table, source);
                match lacks_secret {
                    true => Why::CatchAllWithoutSecret { provider },
                    false => Why::CatchAll { provider: Some(provider) },
                }
            }
            Err(why) => why,
        }
    }

    /// Checks that the table alone makes a valid configuration.
    fn judge(table: &Table) -> Result<(), Why> {
        let mut tables = Vec::new();
        tables::put(&mut tables, table.clone(), &Existing::default());
        let alone = Parts { tables: &tables, ..Parts::default() };
        // The key file of a service account is read at its first use.
        let text = text(alone, "state_directory = \"/\"\n", Sight::Written);
        match Config::parse(&text, None) {
            Ok(_) => Ok(()),
            Err(error) => Err(Why::Configuration { message: error.clause() }),
        }
    }

    /// Whether there is neither an account nor a provider to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.tables.is_empty()
    }

    /// The accounts that move if their mail passwords are known.
    pub(crate) fn locked(&self) -> impl Iterator<Item = &Left> {
        self.left.iter().filter(|left| left.why.needs_password())
    }

    /// Whether a listener uses the proxy's own CA.
    pub(crate) fn shows_certificates(&self) -> bool {
        self.certificate.is_none()
            && self.listeners.iter().any(|listener| listener.security != Security::None)
    }

    /// The keys of service accounts that become files.
    pub(super) fn keys(&self, target: &Target) -> Vec<(PathBuf, &Secret)> {
        let keys = self.tables.iter().filter_map(|table| match &table.application {
            Some(Application::Key(secret)) => Some((key_file(table, target.file.parent()), secret)),
            _ => None,
        });
        keys.collect()
    }

    /// The configuration as a file, with what `target` carries over from one that is there already.
    pub(crate) fn text(&self, target: &Target, sight: Sight) -> String {
        let Self { listeners, certificate, admin, tables, .. } = self;
        let (certificate, keys) = (certificate.as_ref(), target.file.parent());
        let carried = match sight {
            Sight::Written => &target.carried.written,
            Sight::Hidden => &target.carried.shown,
        };
        text(Parts { listeners, certificate, admin: *admin, tables, keys }, carried, sight)
    }
}

/// Whether the client secret of `account` is its mail password: only for a client without a secret or a certificate of
/// its own, and never in place of a service account's key.
fn password_is_secret(source: &Source, account: &Account, way: Way) -> bool {
    let has_own = account.client_secret.is_some()
        || account.client_secret_encrypted.is_some()
        || account.certificate.is_some();
    let by_credentials = way == Way::Application && account.flow.as_deref() == Some("client_credentials");
    source.password_is_secret && by_credentials && !has_own
}
