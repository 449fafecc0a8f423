//! The steps to a mail server: DNS and TCP, or the proxy that does both; TLS; sign-in; reading the mailbox.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::step::{Finding, PATIENCE, Steps};
use crate::config::{Door, Endpoint, Names};
use crate::control::error::Error;
use crate::control::proof::sign_in;
use crate::secret::Secret;
use crate::upstream::Dialler;

/// Whether a TLS connection to the mail server can be made.
pub(super) async fn way_is_open(steps: &mut Steps<'_>, dialler: &Dialler) -> bool {
    let endpoint = &dialler.service.endpoint;
    let is_reached = match dialler.proxy() {
        Some(proxy) => {
            let started = Instant::now();
            let found = match timeout(PATIENCE, dialler.connect()).await {
                Ok(Ok(_)) => {
                    Ok(Finding::AnswersThrough { endpoint: endpoint.clone(), proxy: proxy.to_string() })
                }
                Ok(Err(error)) => Err(Error::Dial(error)),
                Err(_) => Err(Error::Unreachable { endpoint: proxy.endpoint.clone(), error: None }),
            };
            steps.done("proxy", Some(started), found)
        }
        None => is_reached(steps, endpoint).await,
    };
    if !is_reached {
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

/// Whether a TCP connection to the server can be made.
async fn is_reached(steps: &mut Steps<'_>, endpoint: &Endpoint) -> bool {
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
    steps.done("tcp", Some(started), connect(endpoint, &addresses).await)
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

/// Whether the mailbox opens, and lists its folders if the protocol has folders.
pub(super) async fn opens(
    steps: &mut Steps<'_>,
    title: &str,
    dialler: &Dialler,
    names: Names<'_>,
    token: &Secret,
) -> bool {
    let endpoint = || dialler.service.endpoint.clone();
    let started = Instant::now();
    let signed_in = timeout(PATIENCE, sign_in::<Error>(dialler, names, token, || ())).await;
    let (mut session, name) = match signed_in.unwrap_or_else(|_| Err(Error::Silent(endpoint()))) {
        Ok(signed_in) => signed_in,
        Err(error) => return steps.done("sign-in", Some(started), Err(error)),
    };
    let (title, mailbox) = (title.to_owned(), names.account.to_owned());
    steps.done("sign-in", Some(started), Ok(Finding::SignedIn { title, mailbox, name }));
    let (door, started) = (dialler.service.door, Instant::now());
    let look = if door == Door::Pop3 { "mailbox" } else { "folders" };
    match timeout(PATIENCE, door.look_in(&mut session)).await {
        Ok(Ok(Some(folders))) => steps.done("folders", Some(started), Ok(Finding::Folders(folders))),
        Ok(Ok(None)) if door == Door::Pop3 => steps.done(look, Some(started), Ok(Finding::Open)),
        Ok(Ok(None)) => steps.done("quit", Some(started), Ok(Finding::Left)),
        Ok(Err(not_listed)) => steps.done(look, Some(started), Err(not_listed.into())),
        Err(_) => {
            let (endpoint, command) = (endpoint(), door.look_command());
            steps.done(look, Some(started), Err(Error::SilentLook { endpoint, command }))
        }
    }
}
