//! What most commands need: the configuration, the state directory, the store and its keys.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::failure::Failure;
use super::print;
use crate::account::Passwords;
use crate::config::{Config, LogFormat, Provider};
use crate::oauth;
use crate::secret::{KeySource, Sealer};
use crate::store::{DirectoryError, Lock, LoginRecord, SealedSetting, Sqlite, StateDirectory, Store};
use crate::text::quoted;
use crate::tls::{Authority, Connector, TlsSettings};
use crate::token::Tokens;
use crate::upstream::Dialler;

/// The options that every command takes.
pub(super) struct Options {
    pub(super) config: Option<PathBuf>,
    pub(super) log: Option<String>,
}

impl Options {
    /// Reads the configuration and starts the log; what should be mended is said.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let config = self.read()?;
        for warning in &config.warnings {
            print::words(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    /// Like [`Options::load`], for a caller that says the warnings by itself.
    pub(super) fn read(&self) -> Result<Config, Failure> {
        let config = Config::load(self.config.as_deref())?;
        crate::logging::start(config.log == LogFormat::Json, self.log.as_deref())?;
        Ok(config)
    }
}

/// An opened installation.
pub(super) struct Installation {
    pub(super) config: Config,
    pub(super) store: Arc<dyn Store>,
    pub(super) sealer: Arc<Sealer>,
}

impl Installation {
    /// Opens the state directory of `config`, making what is missing.
    pub(super) async fn open(config: Config) -> Result<Self, Failure> {
        let directory = open_directory(&config)?;
        // Held until key and database exist and are migrated: whoever comes second finds them.
        let lock = directory.lock()?;
        let is_new = !config.store.sqlite.exists();
        if let (true, KeySource::File(key_file)) = (is_new, &config.store.key)
            && let Some(parent) = key_file.parent()
        {
            std::fs::create_dir_all(parent)?;
        }
        // A store without its key must not get a new one: it would open nothing.
        let sealer = Arc::new(config.store.key.load(is_new)?);
        let judge = sealer.clone();
        let store = Sqlite::open(&config.store.sqlite).await?;
        let store: Arc<dyn Store> =
            Arc::new(store.judged_by(Box::new(move |settings| opens_all(&judge, settings))));
        drop(lock);
        Ok(Self { config, store, sealer })
    }

    /// Fails where the key is not the one that this store was made with: what would be sealed with it
    /// would replace what it cannot open.
    pub(super) async fn verify_key(&self) -> Result<(), Failure> {
        self.passwords().await.map(drop)
    }

    /// Keeps a rotation of the keys away until the value is dropped, and makes sure that what is sealed
    /// meanwhile is sealed with the newest.
    pub(super) fn sealing(&self) -> Result<Lock, Failure> {
        let lock = open_directory(&self.config)?.lock()?;
        self.sealer.reload()?;
        Ok(lock)
    }

    /// Access tokens of this installation's grants, with the clients of all providers.
    pub(super) fn tokens(&self, legs: &HashMap<String, Legs>) -> Tokens {
        let clients = legs.iter().map(|(name, legs)| (name.clone(), legs.client.clone())).collect();
        Tokens::new(self.store.clone(), self.sealer.clone(), clients)
    }

    pub(super) async fn passwords(&self) -> Result<Passwords, Failure> {
        Ok(Passwords::open(&*self.store, &self.sealer).await?)
    }

    /// The account called `name`, by its name or an alias.
    pub(super) async fn account(&self, name: &str) -> Result<LoginRecord, Failure> {
        self.store.login(name).await?.ok_or_else(|| {
            Failure::new(format!("there is no account {name:?}"))
                .hint("imap-oauth-proxy accounts list shows all accounts")
                .hint(format!("imap-oauth-proxy authorize {} makes it", quoted(name)))
        })
    }

    /// Like [`Installation::account`]; a domain account does not answer for its mailboxes.
    pub(super) async fn exact_account(&self, name: &str) -> Result<LoginRecord, Failure> {
        let record = self.account(name).await?;
        match record.grant.as_ref().and_then(|grant| grant.mailbox.as_ref()) {
            None => Ok(record),
            Some(_) => Err(Failure::new(format!(
                "{name} has no account of its own; the account of its domain opens it"
            ))
            .hint("imap-oauth-proxy accounts list shows all accounts")),
        }
    }

    /// The CA's file, made where it is missing; `None` with a certificate of the user's own.
    pub(super) fn ca_file(&self) -> Result<Option<PathBuf>, Failure> {
        let settings = tls_settings(&self.config);
        match settings.certificate {
            Some(_) => Ok(None),
            None => Ok(Some(Authority::open(&settings, time::OffsetDateTime::now_utc())?.ca_file())),
        }
    }
}

/// Whether a key at hand opens everything that is sealed in a store; it may have come with a key of its own.
fn opens_all(sealer: &Sealer, settings: &[SealedSetting]) -> Result<(), String> {
    for SealedSetting { key, value } in settings {
        if sealer.open(key, value).is_err() {
            sealer.reload().map_err(|error| error.to_string())?;
            sealer.open(key, value).map_err(|error| format!("its {key} cannot be opened: {error}"))?;
        }
    }
    Ok(())
}

/// Opens the state directory; a stranger's is refused with the command line that works.
pub(super) fn open_directory(config: &Config) -> Result<StateDirectory, Failure> {
    StateDirectory::open(&config.state_directory).map_err(|error| match &error {
        DirectoryError::Foreign { owner, .. } => {
            let line = command_line(owner);
            Failure::from(error).hint(format!("run it as that user: {line}"))
        }
        DirectoryError::Failed(..) => Failure::from(error).hint(
            "choose another with state_directory in the configuration, or STATE_DIRECTORY in the environment",
        ),
    })
}

/// This very command under `sudo -u`, with what the environment told spelt out: sudo drops that.
fn command_line(owner: &str) -> String {
    let mut words = vec!["sudo".to_owned(), "-u".to_owned(), owner.to_owned()];
    for variable in ["STATE_DIRECTORY", "XDG_STATE_HOME", "IMAP_OAUTH_PROXY_CONFIG", "XDG_CONFIG_HOME"] {
        if let Ok(value) = std::env::var(variable) {
            words.push(format!("{variable}={value}"));
        }
    }
    words.extend(std::env::args());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

pub(super) fn tls_settings(config: &Config) -> TlsSettings {
    TlsSettings {
        certificate: config.tls.own.clone(),
        hostnames: config.tls.hostnames.clone(),
        state_directory: config.state_directory.clone(),
    }
}

/// A provider's two legs: mail and HTTP, trusting the same roots.
pub(super) struct Legs {
    pub(super) provider: Arc<Provider>,
    pub(super) dialler: Dialler,
    pub(super) client: Arc<oauth::Client>,
}

impl Legs {
    pub(super) fn of(provider: &Arc<Provider>) -> Result<Self, Failure> {
        let connector = Connector::new(provider.extra_ca.as_deref())?;
        let client = Arc::new(oauth::Client::new(provider.clone(), connector.http_config())?);
        let dialler = Dialler::new(provider.imap.clone(), connector);
        Ok(Self { provider: provider.clone(), dialler, client })
    }

    /// The legs of every provider that a client is configured for.
    pub(super) fn of_configured(config: &Config) -> Result<HashMap<String, Self>, Failure> {
        config
            .providers
            .values()
            .filter(|provider| provider.is_usable())
            .map(|provider| Ok((provider.name.clone(), Self::of(provider)?)))
            .collect()
    }
}
