//! An account's sheet: what its mail program has to know, for programs that read files and for people.

use super::servers::{Server, server};
use crate::account::Found;
use crate::config::{Config, Door};
use crate::control::doors;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::{certs, names};
use crate::store::Grant;

/// What a mail program has to know of an account.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    /// Its address, which is its user name.
    pub(crate) address: String,
    /// Where it connects, for each door that its grant opens and a listener has.
    pub(crate) servers: Vec<(Door, Server)>,
    /// The CA that it has to trust; none with a certificate of the user's own.
    pub(crate) ca: Option<Ca>,
}

/// The proxy's own CA.
#[derive(Clone, Debug)]
pub(crate) struct Ca {
    /// What it is called.
    pub(crate) subject: String,
    /// Its certificate.
    pub(crate) der: Vec<u8>,
    pub(crate) file: std::path::PathBuf,
}

impl Sheet {
    /// Of the account called `name`, or of a mailbox that the account of its domain opens.
    pub(crate) async fn of(installation: &Installation, name: &str) -> Result<Self, Error> {
        let Found { record, .. } = installation.account(name).await?;
        if crate::store::is_of_domain(name) {
            return Err(Error::MailboxOfDomain { domain: name.to_owned() });
        }
        names::check_login_name(name)?;
        let config = &installation.config;
        let servers: Vec<(Door, Server)> = opened(config, record.grant.as_ref())
            .into_iter()
            .filter_map(|door| Some((door, server(config, door)?)))
            .collect();
        if servers.is_empty() {
            return Err(Error::NoListener);
        }
        let is_own = crate::store::fold(&record.account.name) == crate::store::fold(name);
        let address = if is_own { record.account.name } else { name.to_owned() };
        Ok(Self { address, servers, ca: ca(config)? })
    }

    /// The server of that door.
    pub(crate) fn server(&self, door: Door) -> Option<&Server> {
        self.servers.iter().find(|(other, _)| *other == door).map(|(_, server)| server)
    }

    /// The domain of the address; the whole of it where it has none.
    pub(crate) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(_, domain)| domain)
    }
}

/// The doors that a grant opens; without one, all of them.
fn opened(config: &Config, grant: Option<&Grant>) -> Vec<Door> {
    let provider = grant.and_then(|grant| Some((grant, config.providers.get(&grant.provider)?)));
    match provider {
        Some((grant, provider)) => doors::of_grant(config, provider, grant),
        None => Door::ALL.to_vec(),
    }
}

fn ca(config: &Config) -> Result<Option<Ca>, Error> {
    if config.tls.own.is_some() {
        return Ok(None);
    }
    let authority = certs::authority(config)?;
    let (subject, file) = (authority.subject().to_owned(), authority.ca_file());
    Ok(Some(Ca { subject, der: authority.certificate().to_vec(), file }))
}
