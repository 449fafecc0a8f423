//! The configuration file as it is written, and its way into a [`Config`].

mod secrets;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use super::error::Problem;
use super::place::{Base, is_loopback};
use super::preset;
use super::table::ProviderFile;
use super::{Config, Door, Events, LimitSettings, Listener, LogFormat, Metrics, Security, StoreSettings, Tls};
use crate::secret::KeySource;
use crate::text::is_domain;

/// From accept to a finished login. Old clients give up after 30 to 60 s, Exchange drops silent
/// connections after 60.
const LOGIN_SECONDS: u64 = 60;
/// Less would not leave the provider its part of it.
const LOGIN_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 5..=3600;
const CONNECTIONS: usize = 10_000;
const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// A person mistypes twice; a program that retries has had its answer.
const FAILED_LOGINS: u32 = 4;
/// A message is on its way within this, mostly; then nothing holds the process any more.
const DRAIN_SECONDS: u64 = 25;
const DRAIN_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 1..=3600;
/// Time to find the person who has to consent, weekends included.
const WARN_DAYS: u32 = 7;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    state_directory: Option<PathBuf>,
    listeners: Option<Vec<ListenerFile>>,
    tls: TlsFile,
    store: StoreFile,
    callback: CallbackFile,
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
    #[serde(default = "implicit_tls")]
    security: Security,
    #[serde(default)]
    from: Vec<String>,
}

fn implicit_tls() -> Security {
    Security::Tls
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
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    key_credential: Option<String>,
    key_command: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CallbackFile {
    address: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    login_seconds: Option<u64>,
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    failed_logins: Option<u32>,
    drain_seconds: Option<u64>,
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

pub(super) fn parse(text: &str) -> Result<File, Problem> {
    toml::from_str(text).map_err(|error| Problem::from_toml(&error))
}

pub(super) fn validate(file: File, path: Option<&Path>) -> Result<Config, Problem> {
    let base = Base(path.and_then(Path::parent).map(Path::to_owned));
    let state_directory = resolved_state_directory(file.state_directory.clone(), &base)?;
    let warnings = secrets::judge(&file, &base, path)?;
    let (providers, unsupported) = preset::providers(file.providers, &base)?;
    Ok(Config {
        file: path.map(Path::to_owned),
        listeners: file.listeners.map_or_else(|| Ok(default_listeners()), listeners)?,
        tls: tls(file.tls, &base)?,
        store: store(file.store, &base, &state_directory)?,
        callback: callback(file.callback)?,
        limits: limits(&file.limits)?,
        metrics: metrics(&file.metrics)?,
        log: file.log.format,
        log_filter: file.log.filter,
        events: events(file.events, &base)?,
        providers: providers.into_iter().map(|(name, provider)| (name, Arc::new(provider))).collect(),
        unsupported,
        state_directory,
        warnings,
    })
}

fn resolved_state_directory(written: Option<PathBuf>, base: &Base) -> Result<PathBuf, Problem> {
    let resolved = written.map(|directory| base.resolve(directory)).or_else(super::default_state_directory);
    resolved.ok_or_else(|| {
        Problem::at(["state_directory"], "there is no default for it, because HOME is not set")
            .hint("write state_directory = \"/path\" into the configuration, or set HOME")
    })
}

/// The state directory of `text`, which may have mistakes elsewhere.
pub(super) fn state_directory(text: &str, path: Option<&Path>) -> Result<PathBuf, Problem> {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let written = table.get_ref().get("state_directory").and_then(|value| value.get_ref().as_str());
    let base = Base(path.and_then(Path::parent).map(Path::to_owned));
    resolved_state_directory(written.map(PathBuf::from), &base)
}

fn default_listeners() -> Vec<Listener> {
    let listener = |protocol: Door| {
        let port = protocol.default_port();
        let addresses = vec![
            SocketAddr::from(([127, 0, 0, 1], port)),
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
        ];
        Listener { protocol, addresses, security: Security::Tls, from: Vec::new(), is_default: true }
    };
    Door::ALL.map(listener).to_vec()
}

fn listeners(files: Vec<ListenerFile>) -> Result<Vec<Listener>, Problem> {
    if files.is_empty() {
        return Err(Problem::at(["listeners"], "is empty, so that nobody could connect")
            .hint("leave it out for the default: IMAP on port 1993 and submission on port 1465 of localhost, with TLS"));
    }
    files.into_iter().enumerate().map(|(index, file)| listener(&index.to_string(), &file)).collect()
}

fn listener(index: &str, file: &ListenerFile) -> Result<Listener, Problem> {
    let protocol = file.protocol.as_deref().unwrap_or(Door::Imap.name());
    let protocol = Door::named(protocol).ok_or_else(|| {
        let message = format!("{protocol:?} is not a protocol that this version speaks");
        let spoken = Door::ALL.map(|door| format!("protocol = {:?}", door.name()));
        Problem::at(["listeners", index, "protocol"], message).hint(format!("write {}", spoken.join(" or ")))
    })?;
    if file.addresses.is_empty() {
        return Err(Problem::at(["listeners", index, "addresses"], "is empty")
            .hint("write addresses = [\"127.0.0.1:1993\"]"));
    }
    let mut addresses = Vec::new();
    for text in &file.addresses {
        let address: SocketAddr = text.parse().map_err(|_| {
            Problem::at(
                ["listeners", index, "addresses"],
                format!("{text:?} is not an IP address with a port"),
            )
            .hint("write \"127.0.0.1:1993\" or \"[::1]:1993\"; port 0 lets the system choose")
        })?;
        if file.security == Security::None && !address.ip().is_loopback() {
            let message =
                format!("security \"none\" would send passwords in clear over the network at {address}");
            return Err(Problem::at(["listeners", index, "security"], message)
                .hint("use \"tls\" or \"starttls\", or a loopback address"));
        }
        addresses.push(address);
    }
    let from = file.from.iter().map(|text| network(index, text)).collect::<Result<_, _>>()?;
    Ok(Listener { protocol, addresses, security: file.security, from, is_default: false })
}

/// A network, or an address that stands for itself.
fn network(index: &str, text: &str) -> Result<IpNet, Problem> {
    let alone = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    text.parse().map(|network: IpNet| network.trunc()).or_else(|_| alone()).map_err(|_| {
        let message = format!("{text:?} is not a network");
        Problem::at(["listeners", index, "from"], message)
            .hint("write from = [\"192.168.7.0/24\", \"2001:db8::/48\"], or leave it out to let all connect")
    })
}

fn tls(file: TlsFile, base: &Base) -> Result<Tls, Problem> {
    let own = match (file.certificate, file.key) {
        (Some(certificate), Some(key)) => Some((base.resolve(certificate), base.resolve(key))),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Problem::at(["tls", "certificate"], "needs its key beside it")
                .hint("add key = \"privkey.pem\""));
        }
        (None, Some(_)) => {
            return Err(Problem::at(["tls", "key"], "needs its certificate beside it")
                .hint("add certificate = \"fullchain.pem\""));
        }
    };
    if own.is_some() && !file.hostnames.is_empty() {
        return Err(Problem::at(["tls", "hostnames"], "has no effect on a certificate of your own")
            .hint("remove hostnames, or remove certificate and key"));
    }
    for name in &file.hostnames {
        if !is_host_name(name) {
            return Err(Problem::at(
                ["tls", "hostnames"],
                format!("{name:?} is neither a host name nor an IP address"),
            ));
        }
    }
    Ok(Tls { own, hostnames: file.hostnames })
}

/// A DNS name in the letters-digits-hyphens form, or an IP address.
fn is_host_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || is_domain(name)
}

fn store(file: StoreFile, base: &Base, state_directory: &Path) -> Result<StoreSettings, Problem> {
    match file.url.as_deref() {
        None | Some("sqlite") => {}
        Some(other) if other.starts_with("postgres://") || other.starts_with("postgresql://") => {
            return Err(Problem::at(["store", "url"], "PostgreSQL is not supported by this version")
                .hint("write url = \"sqlite\": several processes on one machine can share it"));
        }
        Some(_) => {
            return Err(Problem::at(["store", "url"], "is not a store").hint("write url = \"sqlite\""));
        }
    }
    Ok(StoreSettings {
        sqlite: state_directory.join("store.sqlite"),
        key: key_source(file, base, state_directory)?,
    })
}

/// One source of keys, or the default.
fn key_source(file: StoreFile, base: &Base, state_directory: &Path) -> Result<KeySource, Problem> {
    let sources: Vec<(&str, KeySource)> = [
        file.key_file.map(|path| ("key_file", KeySource::File(base.resolve(path)))),
        file.key_env.map(|name| ("key_env", KeySource::Environment(name))),
        file.key_credential.map(|name| ("key_credential", KeySource::Credential(name))),
        file.key_command.map(|words| ("key_command", KeySource::Command(words))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(first, _), (second, _), ..] = sources.as_slice() {
        return Err(Problem::at(["store", second], format!("stands beside {first}")).hint("keep one of them"));
    }
    let Some((key, source)) = sources.into_iter().next() else {
        return Ok(KeySource::File(state_directory.join("master.key")));
    };
    let problem = |message: &str| Problem::at(["store", key], message);
    match &source {
        KeySource::Environment(name) if name.is_empty() || name.contains(['=', '\0']) => {
            Err(problem("is not the name of an environment variable")
                .hint("write the name, not the key itself: key_env = \"IMAP_OAUTH_PROXY_KEY\""))
        }
        KeySource::Credential(name) if name.is_empty() || name.contains(['/', '\0']) => Err(problem(
            "is not the name of a credential",
        )
        .hint("write the name that stands in LoadCredential=, such as key_credential = \"master-key\"")),
        KeySource::Command(words) if words.first().is_none_or(String::is_empty) => Err(problem("is empty")
            .hint("write the program and its arguments: key_command = [\"pass\", \"show\", \"mail-proxy\"]")),
        _ => Ok(source),
    }
}

fn callback(file: CallbackFile) -> Result<Option<SocketAddr>, Problem> {
    let Some(text) = file.address else { return Ok(None) };
    let problem = |message: String| {
        Problem::at(["callback", "address"], message).hint("write address = \"127.0.0.1:8994\"")
    };
    let address: SocketAddr =
        text.parse().map_err(|_| problem(format!("{text:?} is not an IP address with a port")))?;
    match address.ip().is_loopback() {
        true => Ok(Some(address)),
        false => {
            Err(problem(format!("{address} is not a loopback address; your web server stands before it")))
        }
    }
}

fn metrics(file: &MetricsFile) -> Result<Metrics, Problem> {
    let address = match file.address.as_deref() {
        None | Some("off") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let message = format!("{text:?} is not an IP address with a port");
            Problem::at(["metrics", "address"], message).hint("write address = \"127.0.0.1:9993\", or \"off\"")
        })?),
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
        // A path is relative to the file; a bare name is looked for in PATH.
        Some(program) if program.contains('/') => {
            *program = base.resolve(PathBuf::from(&*program)).to_string_lossy().into_owned();
        }
        _ => {}
    }
    let webhook = file.webhook.as_deref().map(webhook).transpose()?;
    Ok(Events { command, webhook, warn_days: file.warn_days.unwrap_or(WARN_DAYS) })
}

/// The text is not shown in errors: path and query of a webhook are often a secret.
fn webhook(text: &str) -> Result<Url, Problem> {
    let wrong = |message: &str| Problem::at(["events", "webhook"], message);
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(wrong("must be https, or http on a loopback host").hint("write an https URL")),
    }
}

fn limits(file: &LimitsFile) -> Result<LimitSettings, Problem> {
    let login_seconds = file.login_seconds.unwrap_or(LOGIN_SECONDS);
    if !LOGIN_SECONDS_RANGE.contains(&login_seconds) {
        return Err(Problem::at(
            ["limits", "login_seconds"],
            format!("{login_seconds} is not between 5 and 3600"),
        ));
    }
    Ok(LimitSettings {
        login_seconds,
        connections: at_least_one("connections", file.connections, CONNECTIONS)?,
        connections_per_address: at_least_one(
            "connections_per_address",
            file.connections_per_address,
            CONNECTIONS_PER_ADDRESS,
        )?,
        failed_logins: at_least_one("failed_logins", file.failed_logins, FAILED_LOGINS)?,
        drain_seconds: drain_seconds(file.drain_seconds)?,
    })
}

fn drain_seconds(written: Option<u64>) -> Result<u64, Problem> {
    let seconds = written.unwrap_or(DRAIN_SECONDS);
    match DRAIN_SECONDS_RANGE.contains(&seconds) {
        true => Ok(seconds),
        false => {
            Err(Problem::at(["limits", "drain_seconds"], format!("{seconds} is not between 1 and 3600"))
                .hint("write a number of seconds; systemd's TimeoutStopSec must be longer by 35"))
        }
    }
}

fn at_least_one<T: PartialEq + From<u8>>(key: &str, value: Option<T>, default: T) -> Result<T, Problem> {
    let value = value.unwrap_or(default);
    match value == T::from(0) {
        true => Err(Problem::at(["limits", key], "0 would let nobody in").hint("write 1 or more")),
        false => Ok(value),
    }
}
