//! An account's settings for its mail program, for programs that read files and for people.

use super::error::SetupError;
use super::servers::{Server, server};
use crate::account::Found;
use crate::config::{Config, Door};
use crate::control::doors;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::{certs, names};
use crate::store::Grant;

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
    /// The CA's name.
    pub(crate) subject: String,
    /// Its certificate.
    pub(crate) der: Vec<u8>,
    pub(crate) file: std::path::PathBuf,
}

impl Sheet {
    /// The settings for the account called `name`, or for a mailbox that the account of its domain opens.
    pub(crate) async fn of(installation: &Installation, name: &str) -> Result<Self, Error> {
        let Found { record, .. } = installation.account(name).await?;
        if crate::store::is_of_domain(name) {
            return Err(SetupError::MailboxOfDomain { domain: name.to_owned() }.into());
        }
        names::check_login_name(name)?;
        let config = &installation.config;
        let servers: Vec<(Door, Server)> = opened(config, record.grant.as_ref())
            .into_iter()
            .filter_map(|door| Some((door, server(config, door)?)))
            .collect();
        if servers.is_empty() {
            return Err(SetupError::NoListener.into());
        }
        let is_own = crate::store::fold(&record.account.name) == crate::store::fold(name);
        let address = if is_own { record.account.name } else { name.to_owned() };
        Ok(Self { address, servers, ca: ca(installation).await? })
    }

    /// The settings that are the same for every address, from the listeners alone; `None` without listeners. The
    /// address is a placeholder that Thunderbird replaces.
    pub(crate) fn of_all(config: &Config) -> Option<Self> {
        let of = |door| Some((door, server(config, door)?));
        let servers: Vec<(Door, Server)> = Door::ALL.into_iter().filter_map(of).collect();
        let address = "NAME@%EMAILDOMAIN%".to_owned();
        (!servers.is_empty()).then_some(Self { address, servers, ca: None })
    }

    /// The server of that door.
    pub(crate) fn server(&self, door: Door) -> Option<&Server> {
        self.servers.iter().find(|(other, _)| *other == door).map(|(_, server)| server)
    }

    /// The domain of the address; the whole address if it has none.
    pub(crate) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(_, domain)| domain)
    }
}

/// The doors that a grant opens; all doors without a grant.
fn opened(config: &Config, grant: Option<&Grant>) -> Vec<Door> {
    let provider = grant.and_then(|grant| Some((grant, config.providers.get(&grant.provider)?)));
    match provider {
        Some((grant, provider)) => doors::of_grant(config, provider, grant),
        None => Door::ALL.to_vec(),
    }
}

async fn ca(installation: &Installation) -> Result<Option<Ca>, Error> {
    if installation.config.tls.own.is_some() {
        return Ok(None);
    }
    let authority = certs::authority(installation).await?;
    let (subject, file) = (authority.subject().to_owned(), authority.ca_file());
    Ok(Some(Ca { subject, der: authority.certificate().to_vec(), file }))
}
