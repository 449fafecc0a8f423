//! The configuration file in its written form, and its conversion into a [`Config`].

mod access;
mod admin;
mod limits;
mod listeners;
mod secrets;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::error::Problem;
use super::network::NetworkProxy;
use super::place::{Base, is_loopback, socket_address};
use super::preset;
use super::table::ProviderFile;
use super::{Config, Door, Events, LimitSettings, Listener, LogFormat, Metrics, Security, Tls};

/// Enough time to reach the person who has to consent, weekends included.
const WARN_DAYS: u32 = 7;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    state_directory: Option<PathBuf>,
    listeners: Option<Vec<ListenerFile>>,
    tls: TlsFile,
    store: StoreFile,
    admin: AdminFile,
    callback: CallbackFile,
    network: NetworkFile,
    limits: LimitsFile,
    metrics: MetricsFile,
    log: LogFile,
    events: EventsFile,
    providers: BTreeMap<String, ProviderFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerFile {
    protocol: Option<String>,
    addresses: Vec<String>,
    #[serde(default)]
    security: Security,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    proxy_protocol: Vec<String>,
    #[serde(default)]
    acknowledge_cleartext: bool,
    #[serde(default)]
    devices: Vec<DeviceFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFile {
    from: Option<String>,
    account: Option<String>,
    messages_per_hour: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsFile {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    hostnames: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct StoreFile {
    url: Option<String>,
    password_file: Option<PathBuf>,
    listen_url: Option<String>,
    stale_seconds: Option<u64>,
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    key_credential: Option<String>,
    key_command: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AdminFile {
    address: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CallbackFile {
    address: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NetworkFile {
    proxy: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    login_seconds: Option<u64>,
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    failed_logins: Option<u32>,
    drain_seconds: Option<u64>,
    takeover_seconds: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogFile {
    format: LogFormat,
    filter: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MetricsFile {
    address: Option<String>,
    per_account: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct EventsFile {
    command: Option<Vec<String>>,
    webhook: Option<String>,
    warn_days: Option<u32>,
}

pub(super) use store::at as store_at;

pub(super) fn parse(text: &str) -> Result<File, Problem> {
    toml::from_str(text).map_err(|error| Problem::from_toml(&error))
}

/// Reads a file that is valid TOML.
pub(super) fn read(table: toml::Spanned<toml::de::DeTable<'_>>) -> Result<File, Problem> {
    File::deserialize(toml::de::Deserializer::from(table)).map_err(|error| Problem::from_toml(&error))
}

pub(super) fn validate(file: File, path: Option<&Path>) -> Result<Config, Problem> {
    let base = Base(path.and_then(Path::parent).map(Path::to_owned));
    let state_directory = resolved_state_directory(file.state_directory.clone(), &base)?;
    let mut warnings = secrets::judge(&file, &base, path)?;
    let placeholders = file.providers.iter().flat_map(|(name, provider)| {
        let faults = [("client_id", provider.client_id_fault()), ("tenant", provider.tenant_fault())];
        let fault = |(key, fault): (&str, Option<String>)| {
            Some((["providers", name, key].map(str::to_owned), fault?))
        };
        faults.into_iter().filter_map(fault).collect::<Vec<_>>()
    });
    let placeholders = placeholders.collect();
    let (providers, unsupported) = preset::providers(file.providers, &base)?;
    warnings.extend(providers.values().filter_map(super::provider::Provider::prompts_in_vain));
    warnings.extend(listeners::unproven(file.listeners.as_deref().unwrap_or_default()));
    let (admin, unreachable) = admin::admin(&file.admin, &base)?;
    warnings.extend(unreachable);
    let (callback, old) = admin::callback(file.callback)?.unzip();
    warnings.extend(old);
    Ok(Config {
        file: path.map(Path::to_owned),
        listeners: file.listeners.map_or_else(|| Ok(listeners::default()), listeners::all)?,
        tls: listeners::tls(file.tls, &base)?,
        store: store::store(file.store, &base, &state_directory)?,
        admin,
        callback,
        network_proxy: file.network.proxy.as_deref().map(NetworkProxy::parse).transpose()?.map(Arc::new),
        limits: limits::limits(&file.limits)?,
        metrics: metrics(&file.metrics)?,
        log: file.log.format,
        log_filter: file.log.filter,
        events: events(file.events, &base)?,
        providers: providers.into_iter().map(|(name, provider)| (name, Arc::new(provider))).collect(),
        unsupported,
        state_directory,
        warnings,
        placeholders,
    })
}

fn resolved_state_directory(written: Option<PathBuf>, base: &Base) -> Result<PathBuf, Problem> {
    let resolved = written.map(|directory| base.resolve(directory)).or_else(super::default_state_directory);
    resolved.ok_or_else(|| {
        Problem::at(["state_directory"], "there is no default for it, because HOME is not set")
            .hint("write state_directory = \"/path\" into the configuration, or set HOME")
    })
}

/// The state directory in `text`, which may have mistakes elsewhere.
pub(super) fn state_directory(text: &str, path: Option<&Path>) -> Result<PathBuf, Problem> {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let written = table.get_ref().get("state_directory").and_then(|value| value.get_ref().as_str());
    let base = Base(path.and_then(Path::parent).map(Path::to_owned));
    resolved_state_directory(written.map(PathBuf::from), &base)
}

fn metrics(file: &MetricsFile) -> Result<Metrics, Problem> {
    let address = match file.address.as_deref() {
        None | Some("off") => None,
        Some(text) => {
            let hint = "write address = \"127.0.0.1:9993\", or \"off\"";
            Some(socket_address(["metrics", "address"], text, hint)?)
        }
    };
    Ok(Metrics { address, per_account: file.per_account })
}

fn events(file: EventsFile, base: &Base) -> Result<Events, Problem> {
    let mut command = file.command.unwrap_or_default();
    match command.first_mut() {
        Some(program) if program.is_empty() => {
            return Err(Problem::at(["events", "command"], "names no program")
                .hint("write command = [\"/usr/local/bin/tell-me\", \"argument\"]"));
        }
        // A path is relative to the file; a bare name is searched in PATH.
        Some(program) if program.contains('/') => {
            *program = base.resolve(PathBuf::from(&*program)).to_string_lossy().into_owned();
        }
        _ => {}
    }
    let webhook = file.webhook.as_deref().map(webhook).transpose()?;
    Ok(Events { command, webhook, warn_days: file.warn_days.unwrap_or(WARN_DAYS) })
}

/// Errors do not show the text: path and query of a webhook are often a secret.
fn webhook(text: &str) -> Result<Url, Problem> {
    let wrong = |message: &str| Problem::at(["events", "webhook"], message);
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(wrong("must be https, or http on a loopback host").hint("write an https URL")),
    }
}
