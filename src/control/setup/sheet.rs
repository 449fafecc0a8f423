//! An account's settings for its mail program, for programs that read files and for people.

use super::servers::{Server, server};
use crate::account::Found;
use crate::config::{Config, Door};
use crate::control::doors;
use crate::control::error::{Error, SetupError};
use crate::control::installation::Installation;
use crate::control::{certs, names};
use crate::store::{Grant, fold, is_of_domain};

/// The settings of an account for its mail program.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    /// Its address, which is its user name.
    pub(crate) address: String,
    /// A server for each door that the account's grant opens and a listener has.
    pub(crate) servers: Vec<(Door, Server)>,
    /// The CA that the mail program must trust; `None` with the user's own certificate.
    pub(crate) ca: Option<Ca>,
}

/// The proxy's own CA.
#[derive(Clone, Debug)]
pub(crate) struct Ca {
    pub(crate) subject: String,
    pub(crate) der: Vec<u8>,
    pub(crate) file: std::path::PathBuf,
}

impl Sheet {
    /// The settings for the account called `name`, or for a mailbox that the account of its domain opens.
    pub(crate) async fn of(installation: &Installation, name: &str) -> Result<Self, Error> {
        let Found { record, .. } = installation.account(name).await?;
        if is_of_domain(name) {
            return Err(SetupError::MailboxOfDomain { domain: name.to_owned() }.into());
        }
        names::check_login_name(name)?;
        let config = &installation.config;
        let provider = |grant: &Grant| config.providers.get(&grant.provider);
        let doors = match record.grant.as_ref().and_then(|grant| Some((grant, provider(grant)?))) {
            Some((grant, provider)) => doors::of_grant(config, provider, grant),
            None => Door::ALL.to_vec(),
        };
        let of = |door| Some((door, server(config, door)?));
        let servers: Vec<(Door, Server)> = doors.into_iter().filter_map(of).collect();
        if servers.is_empty() {
            return Err(SetupError::NoListener.into());
        }
        let is_own = fold(&record.account.name) == fold(name);
        let address = if is_own { record.account.name } else { name.to_owned() };
        let mut sheet = Self { address, servers, ca: None };
        if config.tls.own.is_none() {
            let authority = certs::authority(installation).await?;
            let (subject, der) = (authority.subject().to_owned(), authority.certificate().to_vec());
            sheet.ca = Some(Ca { subject, der, file: authority.ca_file() });
        }
        Ok(sheet)
    }

    /// The settings that are the same for every address, from the listeners alone; `None` without listeners. The
    /// address is a placeholder that Thunderbird replaces.
    pub(crate) fn of_all(config: &Config) -> Option<Self> {
        let of = |door| Some((door, server(config, door)?));
        let servers: Vec<(Door, Server)> = Door::ALL.into_iter().filter_map(of).collect();
        let address = "NAME@%EMAILDOMAIN%".to_owned();
        (!servers.is_empty()).then_some(Self { address, servers, ca: None })
    }

    pub(crate) fn server(&self, door: Door) -> Option<&Server> {
        self.servers.iter().find(|(other, _)| *other == door).map(|(_, server)| server)
    }

    /// The domain of the address; the whole address if it has none.
    pub(crate) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(_, domain)| domain)
    }
}
