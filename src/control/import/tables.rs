//! Makes providers' tables from accounts.
//!
//! Accounts of one client at one provider share a table. The token endpoint of a preset determines preset and
//! tenant; any other endpoint becomes a separate provider, whose mail servers come from the server sections.
//! Scopes are written as they were granted, because the moved grants hold only these.

use std::path::PathBuf;

use url::Url;

use super::carried::{Existing, is_of_this_machine};
use super::left::{Change, Why};
use super::servers::{self, MailServer};
use super::source::{Account, Server, is_key};
use crate::config::{preset_at, preset_domains, preset_takes_device};
use crate::secret::Secret;

/// Google's token endpoint, with its current name and older ones.
const GOOGLE: &str = "https://oauth2.googleapis.com/token";
const GOOGLE_BEFORE: [&str; 3] = [
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://www.googleapis.com/oauth2/v3/token",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(super) base: Base,
    /// The mail servers that it names: its own, or those that replace its preset's.
    pub(super) servers: Vec<MailServer>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) scopes: Vec<String>,
    pub(super) application: Option<Application>,
    pub(super) redirect_uri: Option<String>,
    pub(super) domains: Vec<String>,
    /// Whether it keeps its preset's domains, and names none.
    pub(super) has_domains_of_preset: bool,
}

/// The base of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Preset { preset: String, tenant: Option<String> },
    Own { authorize_url: String, token_url: String, device_url: Option<String> },
}

impl Table {
    /// Whether the provider gives a code for another device.
    pub(super) fn takes_device(&self) -> bool {
        match &self.base {
            Base::Preset { preset, .. } => preset_takes_device(preset),
            Base::Own { device_url, .. } => device_url.is_some(),
        }
    }
}

/// The application's own credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Application {
    Secret,
    Certificate {
        certificate: PathBuf,
        key: PathBuf,
    },
    KeyFile(PathBuf),
    /// The key itself, which is written to a file.
    Key(Secret),
}

/// The source of an account's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Person { device: bool },
    Application,
}

/// The source of `account`'s tokens, decided as email-oauth2-proxy does: an account with a permission URL needs a
/// person.
pub(super) fn way(account: &Account) -> Result<Way, Why> {
    let flow = account.flow.as_deref();
    match (flow, account.permission_url.is_some() || account.refresh_token.is_some()) {
        (Some("password"), _) => Err(Why::PasswordFlow),
        (Some("device"), _) => Ok(Way::Person { device: true }),
        (_, true) | (Some("authorization_code"), _) => Ok(Way::Person { device: false }),
        (Some("client_credentials" | "service_account"), false) => Ok(Way::Application),
        (Some(flow), false) => Err(Why::Flow { flow: flow.to_owned() }),
        (None, false) => Err(missing("permission_url")),
    }
}

fn missing(option: &'static str) -> Why {
    Why::Missing { option }
}

/// The table that `account` needs, without a name yet. `secret` is its client's.
pub(super) fn table(
    account: &Account,
    way: Way,
    secret: Option<Secret>,
    servers: &[Server],
    changes: &mut Vec<Change>,
) -> Result<Table, Why> {
    let token_url = account.token_url.as_deref().ok_or_else(|| missing("token_url"))?;
    let token_url = Url::parse(token_url).map_err(|_| account.wrong("token_url"))?.to_string();
    if account.scopes.is_empty() {
        return Err(missing("oauth2_scope"));
    }
    let is_service_account = account.flow.as_deref() == Some("service_account") && way == Way::Application;
    let application = (way == Way::Application).then(|| application(account, secret.as_ref())).transpose()?;
    if way != Way::Application && account.certificate.is_some() && secret.is_none() {
        return Err(Why::CertificateOfPerson);
    }
    let client_id = account.client_id.clone().ok_or_else(|| missing("client_id"))?;
    let endpoint = token_url.trim_end_matches('/');
    let google = if GOOGLE_BEFORE.contains(&endpoint) { GOOGLE } else { endpoint };
    let (base, servers) = match preset_at(google, &account.name) {
        Some((preset, tenant)) => {
            (Base::Preset { preset, tenant }, servers::beside_preset(account, servers)?)
        }
        None => (own(account, way, token_url), servers::of_own(account, servers)?),
    };
    let domain = account.name.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
    Ok(Table {
        name: String::new(),
        redirect_uri: account.redirect_uri.clone().filter(|_| way != Way::Application).filter(|uri| {
            let can_be_kept = can_be_kept(uri);
            if !can_be_kept {
                changes.push(Change::RedirectUri { account: account.name.clone(), uri: uri.clone() });
            }
            can_be_kept
        }),
        base,
        servers,
        client_id: (!is_service_account).then_some(client_id),
        client_secret: secret.filter(|_| !is_service_account),
        scopes: account.scopes.clone(),
        application,
        domains: domain.into_iter().filter(|domain| !domain.is_empty()).collect(),
        has_domains_of_preset: false,
    })
}

/// Whether the redirect URI can be kept: https, or this machine.
fn can_be_kept(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    url.fragment().is_none() && (url.scheme() == "https" || crate::config::is_loopback(&url))
}

fn application(account: &Account, secret: Option<&Secret>) -> Result<Application, Why> {
    let key = || secret.cloned().ok_or_else(|| missing("client_secret"));
    if account.flow.as_deref() == Some("service_account") {
        return match account.client_id.as_deref() {
            // A key that stands in the place of its file's path is a key.
            Some("file") if !is_key(key()?.expose()) => {
                let secret = key()?;
                let path = account.directory.join(secret.expose());
                // A path is shown, and what is none may be a secret.
                match path.exists() || secret.expose().contains('/') || secret.expose().ends_with(".json") {
                    true => Ok(Application::KeyFile(path)),
                    false => Err(account.wrong("client_secret")),
                }
            }
            Some("file" | "key") => {
                let key = Some(key()?).filter(|key| is_json(key.expose()));
                key.map(Application::Key).ok_or_else(|| account.wrong("client_secret"))
            }
            Some(_) => Err(account.wrong("client_id")),
            None => Err(missing("client_id")),
        };
    }
    match (secret, &account.certificate) {
        (Some(_), _) => Ok(Application::Secret),
        (None, Some((certificate, key))) => {
            Ok(Application::Certificate { certificate: certificate.clone(), key: key.clone() })
        }
        (None, None) => Err(missing("client_secret")),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

/// The base of a provider that is not a preset.
fn own(account: &Account, way: Way, token_url: String) -> Base {
    let permission_url = account.permission_url.clone();
    let device_url = permission_url.clone().filter(|_| way == (Way::Person { device: true }));
    // An application needs no such URL, but a table must have one.
    let authorize_url = permission_url.unwrap_or_else(|| token_url.clone());
    Base::Own { authorize_url, token_url, device_url }
}

/// Adds `table` under a free name, and returns that name. If a table differs from it only in its domains, or in the port
/// of a redirect to this machine, returns the name of that one instead. A name that exists in the target configuration
/// belongs to another client, even if its table is equal.
pub(super) fn put(tables: &mut Vec<Table>, table: Table, existing: &Existing) -> String {
    let same = |known: &&mut Table| {
        let [own, other] = [&table.redirect_uri, &known.redirect_uri]
            .map(|uri| uri.as_deref().is_some_and(is_of_this_machine));
        let redirect_uri = if own && other { known.redirect_uri.clone() } else { table.redirect_uri.clone() };
        let domains = known.domains.clone();
        Table { name: known.name.clone(), domains, redirect_uri, ..table.clone() } == **known
    };
    if let Some(known) = tables.iter_mut().find(same) {
        for domain in table.domains {
            if !known.domains.contains(&domain) {
                known.domains.push(domain);
            }
        }
        return known.name.clone();
    }
    let base = match &table.base {
        Base::Preset { preset, .. } => preset.clone(),
        Base::Own { .. } => table.domains.first().map_or("imported".to_owned(), |domain| slug(domain)),
    };
    let is_free = |name: &String| {
        !existing.tables.contains_key(name) && !tables.iter().any(|known| &known.name == name)
    };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let name = std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base);
    tables.push(Table { name: name.clone(), ..table });
    name
}

/// Leaves each domain to one table: a person's before an application's, which is always named, then the first. A
/// preset keeps the domains that it has, but for those that another table claims; what is there already keeps its own.
pub(super) fn settle_domains(tables: &mut [Table], existing: &Existing) {
    let mut taken = existing.domains.clone();
    for of_persons in [true, false] {
        for table in tables.iter_mut().filter(|table| table.application.is_none() == of_persons) {
            table.domains.retain(|domain| taken.insert(domain.clone()));
        }
    }
    for table in tables {
        let Base::Preset { preset, .. } = &table.base else { continue };
        if *preset != table.name {
            continue;
        }
        let of_preset = preset_domains(preset);
        let is_free = |domain: &String| table.domains.contains(domain) || !taken.contains(domain);
        let (free, claimed): (Vec<String>, Vec<String>) = of_preset.iter().cloned().partition(is_free);
        match claimed.is_empty() && table.domains.iter().all(|domain| of_preset.contains(domain)) {
            true => table.has_domains_of_preset = true,
            false => {
                let own = table.domains.clone();
                table.domains.extend(free.into_iter().filter(|domain| !own.contains(domain)));
            }
        }
    }
}

/// A name that needs no quotes in TOML, and belongs to no preset.
fn slug(domain: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("at-{}", domain.chars().map(letter).collect::<String>())
}
