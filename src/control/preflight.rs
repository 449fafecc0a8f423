//! Obstacles to `serve` outside of its configuration file: things that the file names and that are missing,
//! unreadable or in use. Makes and changes nothing.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use time::OffsetDateTime;

use super::certs;
use super::error::Error;
use super::installation;
use super::providers::Legs;
use crate::config::{AdminAddress, AppGrant, Config, ConfigError, Provider, overlap};
use crate::logging;
use crate::secret::KeySource;
use crate::server;
use crate::store::StateDirectory;
use crate::tls::Identity;

/// All obstacles. The files `to_come` may be missing: they are made with the new configuration. If addresses `may_be_used`,
/// one that is in use is no obstacle: most likely a running `serve` uses it, or the program that is replaced.
pub(crate) fn obstacles(config: &Config, to_come: &[PathBuf], may_be_used: bool) -> Vec<ConfigError> {
    let mut obstacles = Obstacles { config, to_come, found: Vec::new() };
    obstacles.look_at_state();
    // The proxy's own certificate is made, or made again, at the start.
    if config.tls.own.is_some()
        && let Err(error) = Identity::load(certs::settings(config, None), OffsetDateTime::now_utc())
    {
        obstacles.add(&["tls", "certificate"], error);
    }
    obstacles.look_at_addresses(may_be_used);
    if let Some(filter) = &config.log_filter
        && let Err(error) = logging::Settings::new(false, Some(filter))
    {
        obstacles.add(&["log", "filter"], error);
    }
    obstacles.look_at_program(&["events", "command"], &config.events.command);
    for (key, fault) in &config.placeholders {
        obstacles.add(&key.each_ref().map(String::as_str), fault);
    }
    for provider in config.usable_providers() {
        obstacles.look_at_provider(provider);
    }
    obstacles.found
}

struct Obstacles<'a> {
    config: &'a Config,
    to_come: &'a [PathBuf],
    found: Vec<ConfigError>,
}

impl Obstacles<'_> {
    fn add(&mut self, key: &[&str], message: impl std::fmt::Display) {
        let fault = self.config.fault(key, &message);
        self.found.push(fault);
    }

    /// The state directory, the database and its key.
    fn look_at_state(&mut self) {
        let (directory, key) = (&self.config.state_directory, ["state_directory"]);
        if !directory.exists() {
            let place = directory.ancestors().find(|ancestor| ancestor.exists());
            if let Some(place) = place
                && let Err(error) = access(place, Access::WRITE_OK | Access::EXEC_OK)
            {
                let (directory, place) = (directory.display(), place.display());
                self.add(&key, format!("{directory} is not there, and cannot be made in {place}: {error}"));
            }
            return;
        }
        if let Err(error) = StateDirectory::judge(directory) {
            return self.add(&key, error);
        }
        let (database, source) = (&self.config.store.sqlite, &self.config.store.key);
        match is_database(database) {
            // The server is not asked: it may be unreachable from where the file is written.
            _ if self.config.store.postgres.is_some() => {
                if let Err(error) = installation::place(self.config) {
                    self.add(&["store", "password_file"], error);
                }
            }
            Ok(true) => {}
            // The first command makes both.
            Ok(false) => return,
            Err(error) => {
                self.add(&key, format!("the database {} cannot be used: {error}", database.display()));
            }
        }
        let key = match source {
            KeySource::File(_) => "key_file",
            KeySource::Environment(_) => "key_env",
            KeySource::Credential(_) => "key_credential",
            KeySource::Command(_) => "key_command",
        };
        match source {
            // Not run, because it may ask a person or cost money.
            KeySource::Command(words) => self.look_at_program(&["store", key], words),
            _ => {
                if let Err(error) = source.load(false) {
                    self.add(&["store", key], error);
                }
            }
        }
    }

    fn look_at_addresses(&mut self, may_be_used: bool) {
        let config = self.config;
        let own = config.listeners.iter().enumerate().filter(|(_, listener)| !listener.is_default);
        for (number, listener) in own {
            for &address in &listener.addresses {
                self.look_at_address(&["listeners", &number.to_string(), "addresses"], address, may_be_used);
            }
        }
        let admin = match config.admin.address {
            AdminAddress::Tcp(address) if !config.admin.is_default => Some(address),
            _ => None,
        };
        self.look_for_the_page();
        for (section, address) in
            [("admin", admin), ("callback", config.callback), ("metrics", config.metrics.address)]
        {
            if let Some(address) = address {
                self.look_at_address(&[section, "address"], address, may_be_used);
            }
        }
    }

    /// A listener with the address of the page would keep it from being served.
    fn look_for_the_page(&mut self) {
        let config = self.config;
        let AdminAddress::Tcp(page) = config.admin.address else { return };
        for (number, listener) in config.listeners.iter().enumerate() {
            if let Some(address) = listener.addresses.iter().find(|address| overlap(**address, page)) {
                let message = format!(
                    "{address} is the address of the page for administrators; give one of them another port, with address in [[listeners]] or in [admin]"
                );
                self.add(&["listeners", &number.to_string(), "addresses"], message);
            }
        }
    }

    fn look_at_address(&mut self, key: &[&str], address: SocketAddr, may_be_used: bool) {
        if let Err(error) = server::try_to_bind(address)
            && !(may_be_used && error.error.kind() == std::io::ErrorKind::AddrInUse)
        {
            self.add(key, error);
        }
    }

    /// A path, or a name that is searched in PATH.
    fn look_at_program(&mut self, key: &[&str], words: &[String]) {
        let Some(program) = words.first() else { return };
        let is_program = |path: &Path| {
            path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = match program.contains('/') {
            true => is_program(Path::new(program)),
            false => std::env::split_paths(&path).any(|directory| is_program(&directory.join(program))),
        };
        if !found {
            self.add(key, format!("{program} is no program that can be run"));
        }
    }

    fn look_at_provider(&mut self, provider: &std::sync::Arc<Provider>) {
        let name = provider.name.as_str();
        if let Err(error) = Legs::of(self.config, provider) {
            let key = if matches!(error, Error::Connector(_)) { "extra_ca" } else { "client_id" };
            self.add(&["providers", name, key], error);
        }
        if let Some(path) = &provider.client_assertion_file {
            self.look_at_file(&["providers", name, "client_assertion_file"], path);
        }
        match &provider.app {
            Some(AppGrant::Certificate { certificate, key, .. }) => {
                self.look_at_file(&["providers", name, "app_certificate"], certificate);
                self.look_at_file(&["providers", name, "app_key"], key);
            }
            Some(AppGrant::ServiceAccount { key, .. }) => {
                self.look_at_file(&["providers", name, "service_account_file"], key);
            }
            Some(AppGrant::ClientSecret { .. }) | None => {}
        }
    }

    fn look_at_file(&mut self, key: &[&str], path: &Path) {
        if !self.to_come.iter().any(|file| file == path)
            && let Err(error) = File::open(path)
        {
            self.add(key, format!("{} cannot be read: {error}", path.display()));
        }
    }
}

/// Whether the database can be read and written.
fn is_database(path: &Path) -> std::io::Result<bool> {
    match File::options().read(true).append(true).open(path) {
        Ok(file) => Ok(file.metadata()?.len() > 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
