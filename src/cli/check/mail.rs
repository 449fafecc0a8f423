//! The steps on the way to the mail server: DNS, TCP, TLS, sign-in, folders.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::report::Report;
use crate::cli::installation::Legs;
use crate::protocol::Credential;
use crate::protocol::imap::{NotListed, Refusal, count_folders, sign_in};
use crate::secret::Secret;
use crate::wire::Wire;

/// Longer than any step takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a TLS connection to the mail server can be made.
pub(super) async fn way_is_open(report: &mut Report, legs: &Legs) -> bool {
    let endpoint = &legs.provider.imap;
    let started = report.start();
    let looked_up = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses: Vec<SocketAddr> = match looked_up.map(Iterator::collect::<Vec<_>>) {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => {
            report.failed("dns", started, &format!("{} has no address", endpoint.host), DNS_CURE);
            return false;
        }
        Err(error) => {
            report.failed("dns", started, &format!("{} was not found: {error}", endpoint.host), DNS_CURE);
            return false;
        }
    };
    report.done("dns", Some(started), &format!("{} has {} addresses", endpoint.host, addresses.len()));
    let started = report.start();
    if let Err(why) = connect(&addresses).await {
        let cure = "check this machine's network and firewall, and the port of the provider's imap";
        report.failed("tcp", started, &format!("{endpoint} cannot be reached: {why}"), cure);
        return false;
    }
    report.done("tcp", Some(started), &format!("{endpoint} answers"));
    let started = report.start();
    match tokio::time::timeout(PATIENCE, legs.dialler.dial()).await {
        Ok(Ok(_)) => {
            report.done("tls", Some(started), &format!("the certificate is good for {}", endpoint.host));
            true
        }
        Ok(Err(error)) => {
            report.failed("tls", started, &error.to_string(), "");
            false
        }
        Err(_) => {
            report.failed(
                "tls",
                started,
                &format!("{endpoint} did not finish the handshake"),
                "try again later",
            );
            false
        }
    }
}

const DNS_CURE: &str = "check the provider's imap host and this machine's DNS";

async fn connect(addresses: &[SocketAddr]) -> Result<(), String> {
    let mut last = "no answer within 20 s".to_owned();
    for address in addresses {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {}
        }
    }
    Err(last)
}

/// Whether the mailbox opens and lists its folders.
pub(super) async fn opens(report: &mut Report, legs: &Legs, mailbox: &str, token: &Secret) -> bool {
    let provider = &legs.provider;
    let started = report.start();
    let credential = Credential {
        user: mailbox,
        token,
        mechanisms: &provider.mechanisms,
        host: &provider.imap.host,
        port: provider.imap.port,
        sasl_ir: provider.sasl_ir,
    };
    let signed_in = tokio::time::timeout(PATIENCE, async {
        let stream = legs.dialler.dial().await.map_err(|error| error.to_string())?;
        let mut upstream = Wire::new(stream);
        Ok::<_, String>((sign_in(b"a1", &mut upstream, &credential).await, upstream))
    });
    let mut upstream = match signed_in.await {
        Err(_) => {
            report.failed("sign-in", started, &format!("{} did not answer within 20 s", provider.imap), "");
            return false;
        }
        Ok(Err(why)) => {
            report.failed("sign-in", started, &why, "");
            return false;
        }
        Ok(Ok((Err(refusal), _))) => {
            refused(report, "sign-in", started, &refusal, &refusal.to_string());
            return false;
        }
        Ok(Ok((Ok(_), upstream))) => upstream,
    };
    report.done("sign-in", Some(started), &format!("{} accepts the token for {mailbox}", provider.title));
    let started = report.start();
    match tokio::time::timeout(PATIENCE, count_folders(&mut upstream)).await {
        Ok(Ok(folders)) => {
            report.done("folders", Some(started), &format!("the mailbox has {folders}"));
            true
        }
        Ok(Err(refusal)) => {
            let unlisted = NotListed(refusal);
            refused(report, "folders", started, &unlisted.0, &unlisted.to_string());
            false
        }
        Err(_) => {
            report.failed(
                "folders",
                started,
                &format!("{} did not answer LIST within 20 s", provider.imap),
                "",
            );
            false
        }
    }
}

/// What passes is no person's matter.
fn refused(report: &mut Report, step: &str, started: std::time::Instant, refusal: &Refusal, why: &str) {
    let passes = crate::cli::proof::is_passing(refusal);
    match passes {
        true => report.failed(step, started, why, "try again later"),
        false => report.person_since(step, started, why, ""),
    }
}
