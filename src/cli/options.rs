//! The options that every command takes.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::print;
use crate::config::{Config, LogFormat};
use crate::control::{Installation, Nothing};

/// As on the command line.
pub(super) struct Options {
    pub(super) config: Option<PathBuf>,
    pub(super) log: Option<String>,
    /// How often it was said.
    pub(super) verbose: u8,
    pub(super) quiet: bool,
}

impl Options {
    /// Reads the configuration and starts the log, in which a command says what went wrong alone: the rest it says
    /// itself. What should be mended is said.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let config = self.read_with(Some("warn"))?;
        for warning in &config.warnings {
            print::words(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    /// Like [`Options::load`], for `serve`, whose words are its log.
    pub(super) fn read(&self) -> Result<Config, Failure> {
        self.read_with(None)
    }

    /// What the command line says of the log.
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

    /// Where a running `serve` is asked. Nothing of the store is opened, and a configuration with a mistake in it
    /// must not keep an administrator from asking.
    pub(super) fn state_directory(&self) -> Result<PathBuf, Failure> {
        Ok(crate::config::state_directory(self.config.as_deref())?)
    }

    /// Like [`Options::open`], for a command that only reads: where nothing was made yet, nothing is.
    pub(super) async fn open_to_read(&self) -> Result<Result<Installation, Nothing>, Failure> {
        Ok(Installation::open_to_read(self.load()?).await?)
    }

    /// Reads the configuration, starts the log and opens what is configured.
    pub(super) async fn open(&self) -> Result<Installation, Failure> {
        Ok(Installation::open(self.load()?).await?)
    }
}

/// The list of an installation that is not there.
pub(super) fn nothing_listed(nothing: &Nothing, json: bool) -> Result<Done, Failure> {
    match json {
        true => print::json(&[(); 0])?,
        false => print::no_account_yet(&nothing.directory),
    }
    Ok(Done::Well)
}
