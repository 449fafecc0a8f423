//! The listeners for mail programs, and their certificate.

use std::net::{IpAddr, SocketAddr};

use super::{Base, Door, Listener, ListenerFile, Problem, Security, Tls, TlsFile, access};
use crate::config::place::{overlap, socket_address};
use crate::config::{Access, network};
use crate::text::is_domain;

/// The listeners of a configuration that names none.
pub(super) fn default() -> Vec<Listener> {
    let listener = |protocol: Door| {
        let port = protocol.default_port()?;
        let addresses = vec![
            SocketAddr::from(([127, 0, 0, 1], port)),
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
        ];
        Some(Listener {
            protocol,
            addresses,
            security: Security::Tls,
            access: Access::default(),
            is_default: true,
        })
    };
    Door::ALL.into_iter().filter_map(listener).collect()
}

/// The listeners in the written form.
pub(super) fn all(files: Vec<ListenerFile>) -> Result<Vec<Listener>, Problem> {
    if files.is_empty() {
        return Err(Problem::at(["listeners"], "is empty, so that no client could connect")
            .hint("leave it out for the default: IMAP on port 1993 and submission on port 1465 of localhost, with TLS"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        let read = listener(&index.to_string(), &file)?;
        for (number, address) in read.addresses.iter().enumerate() {
            let before = read.addresses.iter().take(number);
            let mut others = listeners.iter().flat_map(|listener| &listener.addresses).chain(before);
            if let Some(other) = others.find(|other| overlap(**other, *address)) {
                let message = format!("{address} has the port that {other} has already");
                return Err(Problem::at(["listeners", &index.to_string(), "addresses"], message)
                    .hint("give each listener a port of its own"));
            }
        }
        listeners.push(read);
    }
    Ok(listeners)
}

fn listener(index: &str, file: &ListenerFile) -> Result<Listener, Problem> {
    let protocol = file.protocol.as_deref().unwrap_or(Door::Imap.name());
    let protocol = Door::named(protocol).ok_or_else(|| {
        let message = format!("{protocol:?} is not a protocol that this version speaks");
        let spoken = Door::ALL.map(|door| format!("protocol = {:?}", door.name()));
        Problem::at(["listeners", index, "protocol"], message).hint(format!("write {}", spoken.join(" or ")))
    })?;
    if file.addresses.is_empty() {
        return Err(Problem::at(["listeners", index, "addresses"], "is empty")
            .hint("write addresses = [\"127.0.0.1:1993\"]"));
    }
    let mut addresses = Vec::new();
    for text in &file.addresses {
        let hint = "write \"127.0.0.1:1993\" or \"[::1]:1993\"; port 0 lets the system choose";
        let address = socket_address(["listeners", index, "addresses"], text, hint)?;
        if file.security == Security::None && !address.ip().is_loopback() {
            judge_cleartext(index, file, protocol, address)?;
        }
        addresses.push(address);
    }
    // After the conditions for cleartext: only one mistake of a listener is reported at once.
    let access = access::access(index, protocol, file)?;
    Ok(Listener { protocol, addresses, security: file.security, access, is_default: false })
}

/// The conditions for cleartext beyond loopback: others on the network can read mail and passwords, so the
/// administrator has to acknowledge that, and to name the clients of the listener.
fn judge_cleartext(
    index: &str,
    file: &ListenerFile,
    protocol: Door,
    address: SocketAddr,
) -> Result<(), Problem> {
    let from = file.from.iter().filter_map(|text| network(text)).collect();
    let is_open = access::has_all(&from);
    let lacking: Vec<&str> = [
        (protocol != Door::Submission, "protocol = \"submission\""),
        (file.from.is_empty() || is_open, "from = [\"192.168.7.0/24\"]"),
        (!file.acknowledge_cleartext, "acknowledge_cleartext = true"),
    ]
    .into_iter()
    .filter_map(|(lacks, line)| lacks.then_some(line))
    .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let message = format!(
        "security \"none\" would send mail and passwords in clear over the network at {address}; that is only for \
         devices that know no TLS, and this listener lacks {}",
        lacking.join(", ")
    );
    Err(Problem::at(["listeners", index, "security"], message).hint(
        "use \"tls\" or \"starttls\", or a loopback address; for such devices write protocol = \"submission\", \
         from = [\"192.168.7.0/24\"] with the networks that they are in, and acknowledge_cleartext = true",
    ))
}

/// The warnings about loopback listeners without TLS behind a load balancer: whether clients used TLS up to it is the
/// balancer's word, which it may not give.
pub(super) fn unproven(files: &[ListenerFile]) -> impl Iterator<Item = String> {
    let is_unproven = |file: &ListenerFile| {
        file.security == Security::None && !file.proxy_protocol.is_empty() && !file.acknowledge_cleartext
    };
    files.iter().enumerate().filter(move |(_, file)| is_unproven(file)).map(|(index, _)| {
        format!(
            "listeners.{index}.security: \"none\" behind a load balancer takes passwords that may have crossed the network \
             in clear: let TLS end here (security = \"tls\"), or let the balancer tell of TLS (HAProxy: \
             send-proxy-v2-ssl); acknowledge_cleartext = true says that the balancer ends TLS for every client"
        )
    })
}

/// The certificate of the listeners.
pub(super) fn tls(file: TlsFile, base: &Base) -> Result<Tls, Problem> {
    let own = match (file.certificate, file.key) {
        (Some(certificate), Some(key)) => Some((base.resolve(certificate), base.resolve(key))),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Problem::at(["tls", "certificate"], "needs its key beside it")
                .hint("add key = \"privkey.pem\""));
        }
        (None, Some(_)) => {
            return Err(Problem::at(["tls", "key"], "needs its certificate beside it")
                .hint("add certificate = \"fullchain.pem\""));
        }
    };
    if own.is_some() && !file.hostnames.is_empty() {
        return Err(Problem::at(["tls", "hostnames"], "has no effect on a certificate of your own")
            .hint("remove hostnames, or remove certificate and key"));
    }
    for name in &file.hostnames {
        if !is_host_name(name) {
            return Err(Problem::at(
                ["tls", "hostnames"],
                format!("{name:?} is neither a host name nor an IP address"),
            ));
        }
    }
    Ok(Tls { own, hostnames: file.hostnames })
}

/// A DNS name in the letters-digits-hyphens form, or an IP address.
fn is_host_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || is_domain(name)
}
