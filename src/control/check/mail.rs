//! The steps on the way to the mail server: DNS, TCP, TLS, sign-in, folders.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::step::{Found, PATIENCE, Steps};
use crate::config::Endpoint;
use crate::control::error::Error;
use crate::control::proof;
use crate::control::providers::Legs;
use crate::secret::Secret;
use crate::tls::Stream;
use crate::wire::Wire;

/// Whether a TLS connection to the mail server can be made.
pub(super) async fn way_is_open(steps: &mut Steps<'_>, legs: &Legs) -> bool {
    let endpoint = &legs.provider.imap;
    let started = Instant::now();
    let (addresses, found) = match look_up(endpoint).await {
        Ok(addresses) => {
            let found = Found::Addresses { host: endpoint.host.clone(), count: addresses.len() };
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
    let found = match timeout(PATIENCE, legs.dialler.dial()).await {
        Ok(Ok(_)) => Ok(Found::Certificate { host: endpoint.host.clone() }),
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

async fn connect(endpoint: &Endpoint, addresses: &[SocketAddr]) -> Result<Found, Error> {
    let mut last = None;
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(Found::Answers(endpoint.clone())),
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
    }
    Err(Error::Unreachable { endpoint: endpoint.clone(), error: last })
}

/// Whether the mailbox opens and lists its folders.
pub(super) async fn opens(steps: &mut Steps<'_>, legs: &Legs, mailbox: &str, token: &Secret) -> bool {
    let started = Instant::now();
    let mut session = match sign_in(legs, mailbox, token).await {
        Ok(session) => session,
        Err(wrong) => return steps.done("sign-in", Some(started), Err(wrong)),
    };
    let found = Found::SignedIn { title: legs.provider.title.clone(), mailbox: mailbox.to_owned() };
    steps.done("sign-in", Some(started), Ok(found));
    let started = Instant::now();
    let found = match timeout(PATIENCE, proof::count_folders(&mut session)).await {
        Ok(Ok(folders)) => Ok(Found::Folders(folders)),
        Ok(Err(not_listed)) => Err(not_listed.into()),
        Err(_) => Err(Error::SilentList(legs.provider.imap.clone())),
    };
    steps.done("folders", Some(started), found)
}

async fn sign_in(legs: &Legs, mailbox: &str, token: &Secret) -> Result<Wire<Stream>, Error> {
    let attempt = async {
        let stream = legs.dialler.dial().await?;
        Ok(proof::sign_in(legs, stream, mailbox, token).await?)
    };
    timeout(PATIENCE, attempt).await.unwrap_or_else(|_| Err(Error::Silent(legs.provider.imap.clone())))
}
