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

/// The result of `work`, which may take [`PATIENCE`]; else the error is `late`.
async fn in_time<T, E: Into<Error>>(
    work: impl Future<Output = Result<T, E>>,
    late: impl FnOnce() -> Error,
) -> Result<T, Error> {
    timeout(PATIENCE, work).await.map_err(|_| late())?.map_err(Into::into)
}

/// Whether a TLS connection to the mail server can be made.
pub(super) async fn way_is_open(steps: &mut Steps<'_>, dialler: &Dialler) -> bool {
    let endpoint = || dialler.service.endpoint.clone();
    let is_reached = match dialler.proxy() {
        Some(proxy) => {
            let late = || Error::Unreachable { endpoint: proxy.endpoint.clone(), error: None };
            let connected = async {
                in_time(dialler.connect(), late).await?;
                Ok(Finding::AnswersThrough { endpoint: endpoint(), proxy: proxy.to_string() })
            };
            steps.timed("proxy", connected).await
        }
        None => is_reached(steps, &dialler.service.endpoint).await,
    };
    let handshake = async {
        in_time(dialler.dial(), || Error::NoHandshake(endpoint())).await?;
        Ok(Finding::Certificate { host: endpoint().host })
    };
    is_reached && steps.timed("tls", handshake).await
}

/// Whether a TCP connection to the server can be made.
async fn is_reached(steps: &mut Steps<'_>, endpoint: &Endpoint) -> bool {
    let mut addresses = Vec::new();
    let looked_up = async {
        addresses = look_up(endpoint).await?;
        Ok(Finding::Addresses { host: endpoint.host.clone(), count: addresses.len() })
    };
    steps.timed("dns", looked_up).await && steps.timed("tcp", connect(endpoint, &addresses)).await
}

async fn look_up(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
    let host = || endpoint.host.clone();
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses: Vec<_> = found.map_err(|error| Error::NotFound { host: host(), error })?.collect();
    if addresses.is_empty() { Err(Error::NoAddress { host: host() }) } else { Ok(addresses) }
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
    let mut session = None;
    let signed_in = async {
        let signing_in = sign_in::<Error>(dialler, names, token, || ());
        let (opened, name) = in_time(signing_in, || Error::Silent(endpoint())).await?;
        session = Some(opened);
        Ok(Finding::SignedIn { title: title.to_owned(), mailbox: names.account.to_owned(), name })
    };
    steps.timed("sign-in", signed_in).await;
    let Some(mut session) = session else { return false };
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
