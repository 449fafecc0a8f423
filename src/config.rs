//! The validated configuration: the rest of the program finds no wrong value in it.
//!
//! A TOML file is read into serde structs of the same form (`file`, `table`), laid over the presets of the
//! providers (`preset`), and turned into a [`Config`]. Every key has a default, so that the program also works
//! without a file. A mistake is a [`ConfigError`] with file, line, key and a hint; an unknown key is an error,
//! because a misspelt one would silently have no effect.

mod access;
mod admin;
mod belongs;
mod confidential;
mod domain;
mod entra;
mod error;
mod every;
mod file;
mod files;
mod mask;
mod network;
mod place;
mod preset;
mod provider;
pub mod scope;
mod service;
mod storage;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use access::{Access, Device};
pub use admin::{Admin, AdminAddress};
pub use error::{ConfigError, ConfigHint, nearest_name};
pub use files::{default_file, default_files, new_default_file};
pub use mask::masked;
pub use network::{NetworkProxy, ProxyKind};
pub use place::{is_loopback, network, overlap};
pub(crate) use preset::{
    at as preset_at, domains as preset_domains, family as preset_family, hosts as preset_hosts,
    takes_device as preset_takes_device,
};
pub use provider::{AppGrant, AssertionAlgorithm, ClientAuthentication, Provider, Quirks};
pub use service::{Endpoint, Names, Service, UpstreamSecurity};
pub use storage::{PostgresPlace, StoreSettings};

pub use crate::protocol::Door;
pub use crate::protocol::sasl::Mechanism;

use self::domain::{domain_of, specificity};
use self::files::default_state_directory;

/// The annotated sample, which is also what `config example` prints.
pub const EXAMPLE: &str = include_str!("../config/imap-oauth-proxy.toml");

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read; `None` if only the defaults apply.
    pub file: Option<PathBuf>,
    /// The directory of database, key and CA; mode 0700.
    pub state_directory: PathBuf,
    /// The listeners for clients.
    pub listeners: Vec<Listener>,
    /// The certificate that clients see.
    pub tls: Tls,
    /// The store of grants.
    pub store: StoreSettings,
    /// The page.
    pub admin: Admin,
    /// An older, separate address at which `serve` receives the answers of sign-ins with a redirect URI on another
    /// host.
    pub callback: Option<SocketAddr>,
    /// The proxy for connections to other machines; connections to this machine never use it.
    pub network_proxy: Option<Arc<NetworkProxy>>,
    /// Limits.
    pub limits: LimitSettings,
    /// Where the metrics can be read.
    pub metrics: Metrics,
    /// The form of log lines.
    pub log: LogFormat,
    /// The log filter, unless the command line sets one.
    pub log_filter: Option<String>,
    /// Messages to people about grants.
    pub events: Events,
    /// All providers: the presets, changed as configured, and the user's own.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Presets that cannot work: name, domains, reason.
    pub unsupported: Vec<Unsupported>,
    /// Settings that work but should be changed, one sentence each.
    pub warnings: Vec<String>,
    /// Keys whose value is still a placeholder, and what is wrong with it.
    pub placeholders: Vec<([String; 3], String)>,
}

/// A mail provider that accepts no third-party OAuth.
#[derive(Clone, Debug)]
pub struct Unsupported {
    /// The preset's name.
    pub name: String,
    /// Domains of its accounts.
    pub domains: Vec<String>,
    /// Why it cannot work, and what to do instead.
    pub reason: String,
}

/// One `[[listeners]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol of the listener.
    pub protocol: Door,
    /// Addresses to bind; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// The protection of the connection.
    pub security: Security,
    /// The clients that may connect, and the devices among them.
    pub access: Access,
    /// Whether this is a default listener. If one of its addresses cannot be bound, that is only a warning.
    pub is_default: bool,
}

/// The protection of a client's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Implicit TLS (RFC 8314 §3).
    #[default]
    Tls,
    /// Cleartext until STARTTLS; no login before it.
    Starttls,
    /// Cleartext: on loopback, and for devices that know no TLS.
    None,
}

impl Security {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }

    /// The name in the settings of mail programs.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tls => "SSL/TLS",
            Self::Starttls => "STARTTLS",
            Self::None => "none",
        }
    }
}

/// The `[tls]` table.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The user's own certificate chain and key (PEM); without them the proxy has its own CA.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Extra names and addresses for the proxy's own certificate.
    pub hostnames: Vec<String>,
}

/// The `[limits]` table.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// Seconds from accept to a finished login.
    pub login_seconds: u64,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address that have not logged in yet.
    pub connections_per_address: usize,
    /// Failed logins on one connection before the proxy ends it.
    pub failed_logins: u32,
    /// Seconds that sessions get to end when the proxy stops.
    pub drain_seconds: u64,
    /// Seconds that sessions may continue after an upgrade.
    pub takeover_seconds: u64,
}

/// The `[events]` table.
#[derive(Clone, Debug)]
pub struct Events {
    /// A program with its arguments, run without a shell; empty for none.
    pub command: Vec<String>,
    /// The URL that gets events. Its path and query may be secret.
    pub webhook: Option<url::Url>,
    /// Days before a known end of a grant at which a person is told.
    pub warn_days: u32,
}

impl Events {
    /// Whether events are sent at all.
    pub fn is_on(&self) -> bool {
        !self.command.is_empty() || self.webhook.is_some()
    }
}

/// The `[metrics]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The HTTP address of the metrics, `/healthz` and `/readyz`.
    pub address: Option<SocketAddr>,
    /// Whether labels name accounts.
    pub per_account: bool,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads `explicit`, or the first default file that exists, or uses the defaults.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        let (path, text) = read(explicit)?;
        Self::parse(&text, path.as_deref())
    }

    /// All mistakes of the file that [`Config::load`] would read, and the configuration without the mistaken
    /// parts, if that is valid.
    pub fn mistakes(explicit: Option<&Path>) -> (Vec<ConfigError>, Option<Self>) {
        match read(explicit) {
            Ok((path, text)) => Self::mistakes_in(&text, path.as_deref()),
            Err(error) => (vec![error], None),
        }
    }

    /// Like [`Config::mistakes`], for `text`; `path` is its file.
    pub fn mistakes_in(text: &str, path: Option<&Path>) -> (Vec<ConfigError>, Option<Self>) {
        every::mistakes(text, path)
    }

    /// A mistake in the value of `key` that only other parts of the program can find.
    pub fn fault(&self, key: &[&str], message: &dyn std::fmt::Display) -> ConfigError {
        let text = self.file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        error::Problem::at_path(key, message.to_string()).in_file(self.file.as_deref(), &text)
    }

    /// Validates `text`; `path` is its file, for messages and relative paths.
    pub fn parse(text: &str, path: Option<&Path>) -> Result<Self, ConfigError> {
        file::parse(text)
            .and_then(|file| file::validate(file, path))
            .map_err(|problem| problem.in_file(path, text))
    }

    /// The provider that serves `account`'s domain. A provider with a configured client is preferred to a mere
    /// preset, and an exact domain to `*.suffix`.
    pub fn provider_of(&self, account: &str) -> Option<&Arc<Provider>> {
        let domain = domain_of(account)?;
        self.providers
            .values()
            .filter_map(|provider| Some((specificity(&provider.domains, &domain)?, provider)))
            .max_by_key(|(exact, provider)| (provider.client_id.is_some(), *exact, !provider.is_preset))
            .map(|(_, provider)| provider)
    }

    /// The providers with a client.
    pub fn usable_providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values().filter(|provider| provider.is_usable())
    }

    /// The preset of `account`'s provider, if that provider cannot work.
    pub fn unsupported(&self, account: &str) -> Option<&Unsupported> {
        let domain = domain_of(account)?;
        self.unsupported.iter().find(|entry| specificity(&entry.domains, &domain).is_some())
    }
}

/// The state directory that the file `explicit`, or the first default file that exists, names. Mistakes elsewhere in
/// the file are ignored: a command looks there for a running process, which goes on with the configuration that it read
/// before.
pub fn state_directory(explicit: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let (file, text) = read(explicit)?;
    file::state_directory(&text, file.as_deref()).map_err(|problem| problem.in_file(file.as_deref(), &text))
}

/// The file `explicit`, or the first default file that exists, and its text, which is empty without a file.
fn read(explicit: Option<&Path>) -> Result<(Option<PathBuf>, String), ConfigError> {
    let file = explicit.map_or_else(default_file, |path| Ok(Some(path.to_owned())))?;
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error));
    let text = file.as_ref().map(read).transpose()?.unwrap_or_default();
    Ok((file, text))
}
