//! Applies a new configuration to the running proxy.
//!
//! The file is read as at the start, and all its parts are made before any is used: a mistake changes nothing. New
//! connections use the new [`Proxy`]; sessions keep theirs. Keys that only a restart can change (addresses, the
//! store) are reported.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::parts::{Parts, Shown, warn_of_closed_devices};
use super::running::Running;
use crate::config::{Access, Admin, Config, Listener, LogFormat};
use crate::connection::Proxy;
use crate::control::audit::Deed;
use crate::control::error::Error;
use crate::events::Teller;
use crate::logging;
use crate::store::Actor;
use crate::tls::Identity;

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reloaded {
    /// The keys whose new values need a restart.
    pub(crate) needs_restart: Vec<String>,
    /// Settings that work but should be changed, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Running {
    /// Reads and applies the configuration again. Blocks for a moment if certificates are made.
    pub(crate) async fn reload(self: &Arc<Self>, by: Actor) -> Result<Reloaded, Error> {
        if self.is_stopping() {
            return Err(Error::Stopping);
        }
        let running = self.clone();
        let reloading = tokio::task::spawn_blocking(move || running.reload_now());
        let outcome = reloading.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
        self.kept.metrics.config_reloaded(outcome.is_ok(), OffsetDateTime::now_utc().unix_timestamp());
        match &outcome {
            Ok(Reloaded { needs_restart, warnings }) => {
                warnings.iter().for_each(|warning| warn!("{warning}"));
                info!("the configuration was loaded again");
                warn_of_closed_devices(&self.proxy.load_full(), &self.kept.accounts).await;
                let about = (!needs_restart.is_empty())
                    .then(|| format!("a restart is needed for {}", needs_restart.join(", ")));
                self.installation(by).record(Deed::Reloaded, about.as_deref()).await;
                if !needs_restart.is_empty() {
                    warn!("a restart is needed for the new {}", needs_restart.join(", "));
                }
            }
            Err(error) => {
                error!("the configuration was not loaded again, and nothing has changed: {error}");
                // Without the error, which may quote the file, because the trail holds no secret.
                self.installation(by).record(Deed::ReloadRefused, None).await;
            }
        }
        outcome
    }

    fn reload_now(&self) -> Result<Reloaded, Error> {
        // One reload at a time; a second one builds on the first.
        let mut shown = self.shown();
        let read = Config::load(self.command_line.config.as_deref())?;
        let needs_restart = needs_restart(&self.started, &read);
        let access = access(&self.started.listeners, &read.listeners, &self.proxy.load().access);
        // Keys that need a restart keep their old values for the other parts.
        let tls = match waits_for_shared_ca(&self.started, &read) {
            true => self.config.load().tls.clone(),
            false => read.tls.clone(),
        };
        let config = Config {
            tls,
            state_directory: self.started.state_directory.clone(),
            store: self.started.store.clone(),
            listeners: self.started.listeners.clone(),
            admin: Admin {
                address: self.started.admin.address.clone(),
                is_default: self.started.admin.is_default,
                url: read.admin.url.clone(),
            },
            ..read
        };
        let filter = self.command_line.log.as_deref().or(config.log_filter.as_deref());
        let log = logging::Settings::new(config.log == LogFormat::Json, filter)?;
        let mut parts = Parts::new(&config)?;
        let new = Shown::of(&config, &shown)?;

        // From here on nothing can fail.
        log.apply();
        self.kept.tokens.replace_clients(parts.clients());
        self.kept.metrics.know_providers(config.usable_providers().map(|provider| provider.name.as_str()));
        self.longest_drain.fetch_max(config.limits.drain_seconds, Ordering::Relaxed);
        if let Some(receiver) = &self.receiver {
            receiver.follow(&config);
        }
        let teller = parts.teller(&config, &self.kept);
        let proxy = parts.proxy(&config, &self.kept, new.acceptors.clone(), access);
        self.replace(proxy, new.identity.clone(), teller);
        *shown = new;
        let warnings = config.warnings.clone();
        self.config.store(Arc::new(config));
        Ok(Reloaded { needs_restart, warnings })
    }

    fn replace(&self, proxy: Proxy, identity: Option<Arc<Identity>>, teller: Option<Arc<Teller>>) {
        self.proxy.store(Arc::new(proxy));
        // After an upgrade only the new process tells people.
        self.teller.send_modify(|current| *current = teller.filter(|_| !self.is_stopping()));
        self.identity.send_if_modified(|current| {
            let is_same = match (&*current, &identity) {
                (Some(current), Some(new)) => Arc::ptr_eq(current, new),
                (current, new) => current.is_none() && new.is_none(),
            };
            *current = identity;
            !is_same
        });
    }
}

/// The keys whose values differ between `new` and the start, and that only a start applies.
fn needs_restart(started: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let mut differs = |key: &str, differs: bool| {
        if differs {
            keys.push(key.to_owned());
        }
    };
    differs("state_directory", started.state_directory != new.state_directory);
    let is_same = started.listeners.len() == new.listeners.len()
        && started.listeners.iter().zip(&new.listeners).all(|(one, other)| is_same_door(one, other));
    differs("listeners", !is_same);
    // A default key file moves with the state directory, which is already in the list.
    let key = started.state_directory == new.state_directory && started.store.key != new.store.key;
    differs("store", key || started.store.postgres != new.store.postgres);
    differs("tls.certificate", waits_for_shared_ca(started, new));
    differs("admin.address", started.admin.address != new.admin.address);
    differs("callback.address", started.callback != new.callback);
    differs("metrics.address", started.metrics.address != new.metrics.address);
    keys
}

/// Whether `new` needs the CA of the store, which only a start loads, and the start had a certificate of the user's.
fn waits_for_shared_ca(started: &Config, new: &Config) -> bool {
    started.store.postgres.is_some() && started.tls.own.is_some() && new.tls.own.is_none()
}

fn is_same_door(one: &Listener, other: &Listener) -> bool {
    one.protocol == other.protocol && one.security == other.security && one.addresses == other.addresses
}

/// The access of each listener of the start, from the new file. A listener that the new file lacks keeps its
/// access until the restart.
fn access(started: &[Listener], new: &[Listener], current: &[Arc<Access>]) -> Vec<Arc<Access>> {
    let of = |(number, listener): (usize, &Listener)| {
        let in_place = new.get(number).filter(|other| is_same_door(listener, other));
        let found = in_place.or_else(|| new.iter().find(|other| is_same_door(listener, other)));
        let kept = || current.get(number).cloned().unwrap_or_default();
        found.map_or_else(kept, |other| other.access.clone().into())
    };
    started.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(&format!("state_directory = \"/x\"\n{text}"), None).unwrap()
    }

    #[test]
    fn security_row_48_what_only_a_start_sets_is_named() {
        let started = config("");
        for (text, keys) in [
            ("", vec![]),
            ("[limits]\nconnections = 5\n[log]\nfilter = \"debug\"\n[events]\nwarn_days = 3", vec![]),
            ("[metrics]\naddress = \"127.0.0.1:0\"", vec!["metrics.address"]),
            ("[metrics]\nper_account = true", vec![]),
            ("[admin]\naddress = \"off\"", vec!["admin.address"]),
            ("[admin]\naddress = \"127.0.0.1:8993\"\nurl = \"https://x.example\"", vec![]),
            ("[callback]\naddress = \"127.0.0.1:1\"", vec!["callback.address"]),
            ("[store]\nkey_env = \"KEY\"", vec!["store"]),
            ("[[listeners]]\naddresses = [\"127.0.0.1:1\"]", vec!["listeners"]),
        ] {
            assert_eq!(needs_restart(&started, &config(text)), keys, "{text}");
        }
    }

    #[test]
    fn the_ca_of_a_shared_store_waits_for_a_start_that_loads_it() {
        let own = "[tls]\ncertificate = \"/x.pem\"\nkey = \"/x.key\"\n";
        let store = "[store]\nurl = \"postgres://proxy@db.example/mail\"\nkey_file = \"/x/key\"\n";
        let (owned, shared) = (config(&format!("{own}{store}")), config(store));
        assert_eq!(needs_restart(&owned, &shared), ["tls.certificate"]);
        assert_eq!(needs_restart(&shared, &owned), [""; 0]);
        assert_eq!(
            needs_restart(&config(own), &config("")),
            [""; 0],
            "a machine alone makes its own CA at once"
        );
    }

    #[test]
    fn who_may_come_follows_the_listener_wherever_the_file_has_it() {
        let imap = "[[listeners]]\naddresses = [\"127.0.0.1:1\"]\n";
        let submission = "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:2\"]\n";
        let from = |text: &str| format!("from = [\"{text}\"]\n");
        let device = "[[listeners.devices]]\nfrom = \"192.0.2.7\"\naccount = \"scan@corp.example\"\n";
        let started = config(&format!("{imap}{submission}")).listeners;
        let text = format!("{submission}{}{device}{imap}{}", from("192.0.2.0/24"), from("10.0.0.1"));
        let swapped = config(&text).listeners;
        let none = Arc::new(Access::default());
        let now = access(&started, &swapped, &[none.clone(), none]);
        let network = |text: &str| vec![text.parse::<ipnet::IpNet>().unwrap()];
        assert_eq!([&now[0].from, &now[1].from], [&network("10.0.0.1/32"), &network("192.0.2.0/24")]);
        assert_eq!((now[0].devices.len(), now[1].devices[0].account.as_str()), (0, "scan@corp.example"));
        let moved = config(&imap.replace(":1", ":3")).listeners;
        assert_eq!(access(&started, &moved, &now), now, "what waits for a restart is not opened to all");
    }
}
