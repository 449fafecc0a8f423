//! The options of every command.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::print;
use crate::command;
use crate::config::{Config, Door, LogFormat};
use crate::control::{Installation, Nothing};

/// The options on the command line.
pub(super) struct Options {
    pub(super) config: Option<PathBuf>,
    pub(super) log: Option<String>,
    /// How often the option was given.
    pub(super) verbose: u8,
    pub(super) quiet: bool,
}

impl Options {
    /// Reads the configuration and prints its warnings. The log of a command holds only failures, because the
    /// command reports everything else itself.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let config = self.read_with(Some("warn"))?;
        for warning in &config.warnings {
            print::words(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    /// Like [`Options::load`], for `serve`, whose output is its log.
    pub(super) fn read(&self) -> Result<Config, Failure> {
        self.read_with(None)
    }

    /// The log filter of the command line.
    pub(super) fn log_filter(&self) -> Option<&str> {
        let by_flags = match (self.quiet, self.verbose) {
            (true, _) => Some("warn"),
            (_, 0) => None,
            (_, 1) => Some("debug"),
            _ => Some("trace"),
        };
        self.log.as_deref().or(by_flags)
    }

    fn read_with(&self, usual: Option<&str>) -> Result<Config, Failure> {
        let config = Config::load(self.config.as_deref())?;
        let filter = self.log_filter().or(config.log_filter.as_deref()).or(usual);
        crate::logging::start(config.log == LogFormat::Json, filter)?;
        Ok(config)
    }

    /// The state directory in which a running `serve` is asked. The store is not opened, and a mistake in the
    /// configuration must not prevent the question.
    pub(super) fn state_directory(&self) -> Result<PathBuf, Failure> {
        Ok(crate::config::state_directory(self.config.as_deref())?)
    }

    /// The configuration, if it names a store that several instances share. Mistakes are not reported: a mistake in the
    /// configuration must not prevent a question to a running `serve`.
    pub(super) fn shared(&self) -> Option<Config> {
        let config = Config::load(self.config.as_deref()).ok()?;
        config.store.postgres.is_some().then_some(config)
    }

    /// Like [`Options::open`], for a command that only reads: nothing is made.
    pub(super) async fn open_to_read(&self) -> Result<Result<Installation, Nothing>, Failure> {
        Ok(Installation::open_to_read(self.load()?).await?)
    }

    /// Like [`Options::open`], for a command that needs an account: without an installation it fails and makes nothing.
    pub(super) async fn open_existing(&self) -> Result<Installation, Failure> {
        self.open_to_read().await?.map_err(|Nothing { directory }| {
            Failure::new(format!("there is no account yet in {}", directory.display()))
                .hint(format!("{} makes one", command::authorize_account("YOU@EXAMPLE.COM")))
                .hint(
                    "where a service has the accounts, run this as its user: sudo -u USER imap-oauth-proxy …",
                )
        })
    }

    /// Reads the configuration, starts the log, opens the installation and makes what is missing.
    pub(super) async fn open(&self) -> Result<Installation, Failure> {
        Ok(Installation::open(self.load()?).await?)
    }

    /// Like [`Options::open`], for a command that seals something.
    pub(super) async fn open_to_seal(&self) -> Result<Installation, Failure> {
        let installation = self.open().await?;
        installation.verify_key().await?;
        Ok(installation)
    }

    /// Lists something of the installation; where there is none, the list is empty, and nothing is made.
    pub(super) async fn list(
        &self,
        json: bool,
        list: impl AsyncFnOnce(&Installation) -> Result<Done, Failure>,
    ) -> Result<Done, Failure> {
        match (self.open_to_read().await?, json) {
            (Ok(installation), _) => return list(&installation).await,
            (Err(_), true) => print::json(&[(); 0])?,
            (Err(nothing), false) => print::no_account_yet(&nothing.directory),
        }
        Ok(Done::Well)
    }
}

/// Parses the name of a protocol.
pub(super) fn door(name: &str) -> Result<Door, String> {
    Door::named(&name.trim().to_lowercase()).ok_or_else(|| {
        let spoken = Door::ALL.map(Door::name).join(", ");
        format!("this version does not speak it; it speaks {spoken}")
    })
}
