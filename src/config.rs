//! The configuration, validated: what the rest of the program reads has no wrong value in it.
//!
//! A TOML file (design: every key has a default, so that no file at all works too) is read into a
//! mirror of serde structs (`file`, `table`), laid over the presets of the providers (`preset`), and
//! turned into a [`Config`]. Whatever is wrong is a [`ConfigError`] with file, line, key and a hint;
//! an unknown key is an error, because a misspelt one would silently do nothing.

mod access;
mod belongs;
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
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use access::{Access, Device};
pub use error::{ConfigError, ConfigHint};
pub use files::{default_file, default_files};
pub use mask::masked;
pub use network::{NetworkProxy, ProxyKind};
pub use place::{is_loopback, network};
pub use provider::{AppGrant, AssertionAlgorithm, ClientAuthentication, Provider, Quirks};
pub use service::{Endpoint, Names, Service, UpstreamSecurity};

pub use crate::protocol::Door;
pub use crate::protocol::sasl::Mechanism;

use self::domain::{domain_of, specificity};
use self::files::default_state_directory;
use crate::secret::KeySource;

/// The annotated sample, which is also what `config example` prints.
pub const EXAMPLE: &str = include_str!("../config/imap-oauth-proxy.toml");

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read; `None` where the defaults are at work.
    pub file: Option<PathBuf>,
    /// Database, key and CA; mode 0700.
    pub state_directory: PathBuf,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The certificate that clients see.
    pub tls: Tls,
    /// Where grants are kept.
    pub store: StoreSettings,
    /// Where `serve` receives the answers of sign-ins whose redirect URI is not on this machine.
    pub callback: Option<SocketAddr>,
    /// What connections to other machines go through; those to this one never do.
    pub network_proxy: Option<Arc<NetworkProxy>>,
    /// Bounds.
    pub limits: LimitSettings,
    /// Where what is counted can be read.
    pub metrics: Metrics,
    /// The log.
    pub log: LogFormat,
    /// What is logged, unless the command line says so.
    pub log_filter: Option<String>,
    /// Telling people about grants.
    pub events: Events,
    /// All providers: the presets, changed as configured, and the user's own.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Presets that cannot work, with the reason: name, domains, why.
    pub unsupported: Vec<Unsupported>,
    /// What works and should be mended, one sentence each.
    pub warnings: Vec<String>,
    /// Keys whose value was never filled in, and what is wrong with it.
    pub placeholders: Vec<([String; 3], String)>,
}

/// A mail provider that accepts no third-party OAuth.
#[derive(Clone, Debug)]
pub struct Unsupported {
    /// The preset's name.
    pub name: String,
    /// Domains whose accounts live there.
    pub domains: Vec<String>,
    /// Why it cannot work, and what to do instead.
    pub reason: String,
}

/// One `[[listeners]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks.
    pub protocol: Door,
    /// Addresses to bind; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// What protects the connection.
    pub security: Security,
    /// Who may come, and as whom.
    pub access: Access,
    /// Whether no file names it. One of its addresses that cannot be had is only worth a warning.
    pub is_default: bool,
}

/// What protects a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Implicit TLS (RFC 8314 §3).
    Tls,
    /// Cleartext until STARTTLS; no login before it.
    Starttls,
    /// Cleartext: on loopback, and for devices that know no TLS.
    None,
}

impl Security {
    /// As written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }
}

/// The `[tls]` table.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The user's own certificate chain and key (PEM); none makes the proxy its own CA.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Extra names and addresses for the proxy's own certificate.
    pub hostnames: Vec<String>,
}

/// The `[store]` table.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The SQLite database.
    pub sqlite: PathBuf,
    /// The keys that seal what is in it.
    pub key: KeySource,
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
    /// Failed logins on one connection, then BYE.
    pub failed_logins: u32,
    /// Seconds that sessions have to come to their end when the proxy stops.
    pub drain_seconds: u64,
    /// Seconds that sessions may go on after an upgrade has taken over.
    pub takeover_seconds: u64,
}

/// The `[events]` table.
#[derive(Clone, Debug)]
pub struct Events {
    /// A program with its arguments, run without a shell; empty for none.
    pub command: Vec<String>,
    /// Where events are posted. Its path and query may be secret.
    pub webhook: Option<url::Url>,
    /// How many days before a known end of a grant a person is told.
    pub warn_days: u32,
}

impl Events {
    /// Whether anybody is to be told.
    pub fn is_on(&self) -> bool {
        !self.command.is_empty() || self.webhook.is_some()
    }
}

/// The `[metrics]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they are served over HTTP, with the answers of `/healthz` and `/readyz`.
    pub address: Option<SocketAddr>,
    /// Whether accounts' addresses are labels.
    pub per_account: bool,
}

/// How log lines look.
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
    /// Reads `explicit`, else the first default file that exists, else takes the defaults.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        match explicit {
            Some(path) => Self::read(path),
            None => match default_file()? {
                Some(path) => Self::read(&path),
                None => Self::parse("", None),
            },
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(&text, Some(path))
    }

    /// Every mistake of the file that [`Config::load`] would read, and what is left of it without them, where that is
    /// known.
    pub fn mistakes(explicit: Option<&Path>) -> (Vec<ConfigError>, Option<Self>) {
        let path = match explicit.map_or_else(default_file, |path| Ok(Some(path.to_owned()))) {
            Ok(path) => path,
            Err(error) => return (vec![error], None),
        };
        let text = match &path {
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => return (vec![ConfigError::unreadable(path, &error)], None),
            },
            None => String::new(),
        };
        every::mistakes(&text, path.as_deref())
    }

    /// What is wrong outside of the file with what `key` says.
    pub fn fault(&self, key: &[&str], message: &dyn std::fmt::Display) -> ConfigError {
        let text = self.file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        error::Problem::at_path(key, message.to_string()).in_file(self.file.as_deref(), &text)
    }

    /// Validates `text`; `path` is where it came from, for messages and relative paths.
    pub fn parse(text: &str, path: Option<&Path>) -> Result<Self, ConfigError> {
        file::parse(text)
            .and_then(|file| file::validate(file, path))
            .map_err(|problem| problem.in_file(path, text))
    }

    /// The provider that serves `account`'s domain. One that the user configured a client for wins
    /// over a mere preset, and an exact domain over `*.suffix`.
    pub fn provider_of(&self, account: &str) -> Option<&Arc<Provider>> {
        let domain = domain_of(account)?;
        self.providers
            .values()
            .filter_map(|provider| Some((specificity(&provider.domains, &domain)?, provider)))
            .max_by_key(|(exact, provider)| (provider.client_id.is_some(), *exact, !provider.is_preset))
            .map(|(_, provider)| provider)
    }

    /// The providers that have a client.
    pub fn usable_providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values().filter(|provider| provider.is_usable())
    }

    /// Why `account`'s provider cannot work at all, where that is known.
    pub fn unsupported(&self, account: &str) -> Option<&Unsupported> {
        let domain = domain_of(account)?;
        self.unsupported.iter().find(|entry| specificity(&entry.domains, &domain).is_some())
    }
}

/// The preset whose token endpoint is `token_url` for accounts like `account`, and the tenant that the URL names.
pub(crate) fn preset_at(token_url: &str, account: &str) -> Option<(String, Option<String>)> {
    preset::at(token_url, account)
}

/// The domains that the preset of that name serves.
pub(crate) fn preset_domains(name: &str) -> Vec<String> {
    preset::domains(name)
}

/// The hosts of the mail servers of all presets.
pub(crate) fn preset_hosts() -> Vec<String> {
    preset::hosts()
}

/// The state directory that `explicit`, or the first default file that exists, names, whatever mistakes are in it: a
/// running process is asked there, which goes on with what it read before.
pub fn state_directory(explicit: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let file = explicit.map_or_else(default_file, |path| Ok(Some(path.to_owned())))?;
    let text = match &file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?,
        None => String::new(),
    };
    file::state_directory(&text, file.as_deref()).map_err(|problem| problem.in_file(file.as_deref(), &text))
}
