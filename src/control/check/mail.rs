//! The steps on the way to the mail server: DNS, TCP, TLS, sign-in, folders.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::step::{Finding, PATIENCE, Steps};
use crate::config::{Endpoint, Names};
use crate::control::error::Error;
use crate::control::proof::DOOR;
use crate::secret::Secret;
use crate::tls::Stream;
use crate::upstream::Dialler;
use crate::wire::Wire;

/// Whether a TLS connection to the mail server can be made.
pub(super) async fn way_is_open(steps: &mut Steps<'_>, dialler: &Dialler) -> bool {
    let endpoint = &dialler.service.endpoint;
    let started = Instant::now();
    let (addresses, found) = match look_up(endpoint).await {
        Ok(addresses) => {
            let found = Finding::Addresses { host: endpoint.host.clone(), count: addresses.len() };
            (addresses, Ok(found))
        }
        Err(wrong) => (Vec::new(), Err(wrong)),
    };
    if !steps.done("dns", Some(started), found) {
        return false;
    }
    let started = Instant::now();
    if !steps.done("tcp", Some(started), connect(endpoint, &addresses).await) {
        return false;
    }
    let started = Instant::now();
    let found = match timeout(PATIENCE, dialler.dial()).await {
        Ok(Ok(_)) => Ok(Finding::Certificate { host: endpoint.host.clone() }),
        Ok(Err(error)) => Err(Error::Dial(error)),
        Err(_) => Err(Error::NoHandshake(endpoint.clone())),
    };
    steps.done("tls", Some(started), found)
}

async fn look_up(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
    let host = || endpoint.host.clone();
    match tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() { Err(Error::NoAddress { host: host() }) } else { Ok(addresses) }
        }
        Err(error) => Err(Error::NotFound { host: host(), error }),
    }
}

async fn connect(endpoint: &Endpoint, addresses: &[SocketAddr]) -> Result<Finding, Error> {
    let mut last = None;
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(Finding::Answers(endpoint.clone())),
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
    }
    Err(Error::Unreachable { endpoint: endpoint.clone(), error: last })
}

/// Whether the mailbox opens and lists its folders.
pub(super) async fn opens(
    steps: &mut Steps<'_>,
    title: &str,
    dialler: &Dialler,
    names: Names<'_>,
    token: &Secret,
) -> bool {
    let endpoint = || dialler.service.endpoint.clone();
    let started = Instant::now();
    let signed_in = timeout(PATIENCE, sign_in(dialler, names, token)).await;
    let mut session = match signed_in.unwrap_or_else(|_| Err(Error::Silent(endpoint()))) {
        Ok(session) => session,
        Err(error) => return steps.done("sign-in", Some(started), Err(error)),
    };
    let found = Finding::SignedIn { title: title.to_owned(), mailbox: names.account.to_owned() };
    steps.done("sign-in", Some(started), Ok(found));
    let started = Instant::now();
    let found = match timeout(PATIENCE, DOOR.look_in(&mut session)).await {
        Ok(Ok(folders)) => Ok(Finding::Folders(folders.unwrap_or_default())),
        Ok(Err(not_listed)) => Err(not_listed.into()),
        Err(_) => Err(Error::SilentList(endpoint())),
    };
    steps.done("folders", Some(started), found)
}

async fn sign_in(dialler: &Dialler, names: Names<'_>, token: &Secret) -> Result<Wire<Stream>, Error> {
    let mut session = Wire::new(dialler.dial().await?);
    DOOR.sign_in(&mut session, &dialler.service.credential(names, token)).await?;
    Ok(session)
}
