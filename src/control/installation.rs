//! The parts that most operations need: the configuration, the state directory, the store and its keys.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::actors;
use super::error::{Error, KeysError};
use super::providers::Legs;
use crate::account::{self, Found, Passwords};
use crate::clock::Clock;
use crate::config::Config;
use crate::links::{Base, Links};
use crate::secret::{KeySource, Sealer, Secret};
use crate::store::{
    self, Actor, Grant, Id, Leased, LoginRecord, Mailbox, Place, PostgresSettings, SealedSetting,
    SealingLock, StateDirectory, Store, StoreError, Takeover, fold,
};
use crate::token::Tokens;

/// How often to check a grant that is being refreshed.
const LEASE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) struct Installation {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<Sealer>,
    /// Who asks for its operations: the audit trail names the person with each change.
    pub(crate) actor: Actor,
    /// The access tokens of the running proxy, if this is a part of it. A process has one cache, because a refresh
    /// that two caches begin at the same time would ask a provider twice for one grant.
    pub(super) tokens: Option<Arc<Tokens>>,
}

/// The place of an installation that does not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct Nothing {
    /// The state directory, which may not exist.
    pub(crate) directory: PathBuf,
}

/// Whether there is a store, which may have accounts. A database server is not asked.
pub(super) fn has_store(config: &Config) -> bool {
    config.store.postgres.is_some() || config.store.sqlite.exists()
}

impl Installation {
    /// Opens the state directory of `config`, and makes missing parts.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let directory = StateDirectory::open(&config.state_directory)?;
        // Held until key and database exist and are migrated, so that a second process finds them.
        let lock = directory.lock()?;
        let opening = store::open(place(&config)?).await?;
        if let (true, KeySource::File(key_file)) = (opening.is_new, &config.store.key)
            && let Some(parent) = key_file.parent()
        {
            std::fs::create_dir_all(parent)?;
        }
        // An existing store must not get a new key, which would open nothing in it.
        let sealer = Arc::new(config.store.key.load(opening.is_new)?);
        let judge = sealer.clone();
        let store = opening.judged_by(Box::new(move |settings| opens_all(&judge, settings))).await?;
        drop(lock);
        // Where machines share the store, the newest key may not be on every machine yet.
        if config.store.postgres.is_some()
            && let Some((id, _)) = in_force(&*store).await?
        {
            sealer.seal_no_newer_than(id);
        }
        Ok(Self { config: Arc::new(config), store, sealer, actor: actors::command_line(), tokens: None })
    }

    /// Opens an existing installation for an operation that only reads; `None` if there is none. Makes nothing.
    pub(crate) async fn open_to_read(config: Config) -> Result<Result<Self, Nothing>, Error> {
        let directory = &config.state_directory;
        // A server's database is there before this instance is.
        if config.store.postgres.is_none() && StateDirectory::is_missing(directory)? {
            return Ok(Err(Nothing { directory: directory.clone() }));
        }
        // Another user's directory is reported before its contents are searched.
        if !StateDirectory::is_missing(directory)? {
            StateDirectory::judge(directory)?;
        }
        match config.store.postgres.is_some() || config.store.sqlite.try_exists()? {
            true => Ok(Ok(Self::open(config).await?)),
            false => Ok(Err(Nothing { directory: directory.clone() })),
        }
    }

    /// Fails if the key is not the store's: a value sealed with it would replace one that it cannot open.
    pub(crate) async fn verify_key(&self) -> Result<(), Error> {
        self.passwords().await.map(drop)
    }

    /// Prevents a rotation of the keys until the value is dropped, and makes sure that new values are sealed with
    /// the newest key.
    pub(crate) async fn sealing(&self) -> Result<SealingLock, Error> {
        let lock = self.store.lock_sealing().await?;
        self.sealer.reload()?;
        if self.config.store.postgres.is_some() {
            self.seal_as_the_store_does().await?;
        }
        Ok(lock)
    }

    /// Chooses the key with which the store's settings are sealed; a rotation on another machine seals those first. An
    /// older key may be removed from that machine already, and values sealed with it would be lost.
    async fn seal_as_the_store_does(&self) -> Result<(), Error> {
        let Some((key, setting)) = in_force(&*self.store).await? else { return Ok(()) };
        let has = self.sealer.key_ids();
        if !has.contains(&key) {
            return Err(KeysError::NotHere { key, has, keys: self.config.store.key.clone() }.into());
        }
        let not_opened = |error| Error::NotSealedHere { what: setting.key.clone(), error };
        // The key that opens the setting seals from now on.
        self.sealer.open(&setting.key, &setting.value).map(drop).map_err(not_opened)
    }

    /// Access tokens of this installation's grants, fetched through the clients of all providers.
    pub(crate) fn tokens(&self, legs: &HashMap<String, Legs>) -> Arc<Tokens> {
        if let Some(tokens) = &self.tokens {
            return tokens.clone();
        }
        let clients = legs.iter().map(|(name, legs)| (name.clone(), legs.client.clone())).collect();
        Arc::new(Tokens::new(self.store.clone(), self.sealer.clone(), clients, Clock::default()))
    }

    /// The sign-in link of the account called `name`, which the installation's actor sees and sends to its person;
    /// `None` where there are no links.
    pub(crate) async fn sign_in_link(&self, name: &str) -> Result<Option<Secret>, Error> {
        let base = Base::configured(&self.config.admin);
        let links = Links::new(self.store.clone(), self.sealer.clone(), base);
        self.shown_link(name, &links.with_marks(Arc::new(self.marks().await?))).await
    }

    /// Like [`Installation::sign_in_link`], with these `links`.
    pub(super) async fn shown_link(&self, name: &str, links: &Links) -> Result<Option<Secret>, Error> {
        let link = links.for_people(name).await;
        if link.is_some() {
            self.record_link(name).await?;
        }
        Ok(link)
    }

    /// Makes and verifies app passwords.
    pub(crate) async fn passwords(&self) -> Result<Passwords, Error> {
        Ok(Passwords::open(&*self.store, &self.sealer).await?)
    }

    /// The account called `name`, by its name or an alias; else the account of its domain.
    pub(crate) async fn account(&self, name: &str) -> Result<Found, Error> {
        account::find(&*self.store, name).await?.ok_or_else(|| Error::NoAccount { name: name.to_owned() })
    }

    /// Like [`Installation::account`], but without the account of the domain.
    pub(crate) async fn exact_account(&self, name: &str) -> Result<LoginRecord, Error> {
        let found = self.account(name).await?;
        match found.mailbox {
            Mailbox::Own => Ok(found.record),
            Mailbox::OfDomain(_) => Err(Error::OnlyItsDomain { name: name.to_owned() }),
        }
    }

    /// The account called `name` exactly, if there is one.
    pub(crate) async fn known_account(&self, name: &str) -> Result<Option<LoginRecord>, Error> {
        Ok(self.store.find(&fold(name)).await?)
    }

    /// The grant once no refresh is running; none begins for `span` or until the lease is released. `None` if the
    /// grant is gone.
    pub(super) async fn lease(&self, grant: &Id, span: time::Duration) -> Result<Option<Grant>, Error> {
        loop {
            let now = time::OffsetDateTime::now_utc();
            // It asks no provider, so that a silent holder loses nothing.
            let until = now.saturating_add(span);
            let leased = self.store.take_lease(grant, now, until, Takeover::AtOnce).await?;
            let read = self.store.grant(grant).await?;
            if leased == Leased::Taken || read.is_none() {
                return Ok(read);
            }
            tokio::time::sleep(LEASE_PAUSE).await;
        }
    }

    /// The accounts that use `grant`, except the one called `but`.
    pub(super) async fn others_with(&self, grant: &Id, but: &str) -> Result<Vec<String>, Error> {
        let accounts = self.store.accounts().await?;
        let others = accounts.into_iter().filter(|other| other.grant.as_ref() == Some(grant));
        Ok(others.map(|other| other.name).filter(|name| name != but).collect())
    }
}

/// The newest key that the settings of a store are sealed with, and one of those settings; `None` if it has none.
async fn in_force(store: &dyn Store) -> Result<Option<(u32, SealedSetting)>, Error> {
    let settings = store.sealed_settings().await?;
    let keyed = settings.into_iter().filter_map(|setting| Some((Sealer::key_of(&setting.value)?, setting)));
    Ok(keyed.max_by_key(|(key, _)| *key))
}

pub(super) fn place(config: &Config) -> Result<Place, Error> {
    let Some(postgres) = &config.store.postgres else {
        return Ok(Place::Sqlite(config.store.sqlite.clone()));
    };
    let read = |path: &PathBuf| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(error) => Err(StoreError::Unusable(format!(
            "the password of the database cannot be read from {}: {error}",
            path.display()
        ))),
    };
    Ok(Place::Postgres(PostgresSettings {
        url: postgres.url.expose().to_owned(),
        password: postgres.password_file.as_ref().map(read).transpose()?,
        listen_url: postgres.listen_url.as_ref().map(|url| url.expose().to_owned()),
        stale: std::time::Duration::from_secs(postgres.stale_seconds),
    }))
}

/// Whether an available key opens every sealed value of a store, which may have been restored with another key.
pub(super) fn opens_all(sealer: &Sealer, settings: &[SealedSetting]) -> Result<(), String> {
    for SealedSetting { key, value } in settings {
        if sealer.open(key, value).is_err() {
            sealer.reload().map_err(|error| error.to_string())?;
            sealer.open(key, value).map_err(|error| format!("its {key} cannot be opened: {error}"))?;
        }
    }
    Ok(())
}
