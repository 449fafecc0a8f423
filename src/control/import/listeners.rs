//! The ports that are moved, and their security.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::left::{Change, Left, Why};
use super::source::Server;
use crate::config::{Door, Security, overlap};

/// The port of the administration, if the configuration names none.
const ADMIN: u16 = 8993;
const ANYWHERE: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Its section in the old configuration.
    pub(crate) section: String,
    pub(crate) door: Door,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) security: Security,
}

/// All listeners, and their certificate.
#[derive(Default)]
pub(super) struct Ports {
    pub(super) listeners: Vec<Listening>,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    /// The address of the administration, if it is not the default.
    pub(super) admin: Option<SocketAddr>,
    pub(super) changes: Vec<Change>,
    pub(super) left: Vec<Left>,
}

impl Ports {
    /// The listeners for the `servers` of a configuration.
    pub(super) fn of(servers: &[Server]) -> Self {
        let mut ports = Self::default();
        let mut moved = Vec::new();
        for server in servers {
            // A section that stays behind changes nothing.
            let changes = ports.changes.len();
            match ports.listening(server).and_then(|listening| ports.alone(listening)) {
                Ok(listening) => {
                    ports.listeners.push(listening);
                    moved.push(server);
                }
                Err(why) => {
                    ports.changes.truncate(changes);
                    ports.left.push(Left { section: server.section.clone(), line: server.line, why });
                }
            }
        }
        ports.choose_certificate(&moved);
        ports.free_admin();
        ports
    }

    fn listening(&mut self, server: &Server) -> Result<Listening, Why> {
        let (section, door, port) = (server.section.clone(), server.door, server.port);
        let mut ips = ips(&server.local_address)
            .ok_or_else(|| Why::LocalAddress { address: server.local_address.clone() })?;
        let mut security = match (&server.certificate, server.starttls_here) {
            (Some(_), true) => Security::Starttls,
            (Some(_), false) => Security::Tls,
            (None, _) => Security::None,
        };
        if server.starttls_here && server.certificate.is_none() {
            self.changes.push(Change::NoStarttls { section: section.clone() });
        }
        if security == Security::None && ips == ANYWHERE {
            self.changes.push(Change::ThisMachineOnly { section: section.clone(), port, door });
            ips = LOOPBACKS.to_vec();
        } else if security == Security::None
            && let Some(ip) = ips.iter().find(|ip| !ip.is_loopback())
        {
            let address = SocketAddr::new(*ip, port);
            self.changes.push(Change::NowTls { section: section.clone(), address });
            security = Security::Tls;
        }
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Ok(Listening { section, door, addresses, security })
    }

    /// The listener, unless another one has its port.
    fn alone(&self, listening: Listening) -> Result<Listening, Why> {
        let is_taken = |other: &&Listening| {
            other.addresses.iter().any(|one| listening.addresses.iter().any(|two| overlap(*one, *two)))
        };
        match self.listeners.iter().find(is_taken) {
            Some(other) => Err(Why::PortTaken { other: other.section.clone() }),
            None => Ok(listening),
        }
    }

    /// Takes the first certificate that can be read, since all listeners share one.
    fn choose_certificate(&mut self, servers: &[&Server]) {
        let unreadable = |(certificate, key): &(PathBuf, PathBuf)| {
            [certificate, key].into_iter().find(|path| std::fs::File::open(path).is_err()).cloned()
        };
        let pairs: Vec<_> =
            servers.iter().filter_map(|it| Some((&it.section, it.certificate.as_ref()?))).collect();
        self.certificate =
            pairs.iter().map(|(_, pair)| *pair).find(|pair| unreadable(pair).is_none()).cloned();
        let shown = self.certificate.as_ref().map(|(certificate, _)| certificate.clone());
        for (section, pair) in pairs {
            let section = section.clone();
            match unreadable(pair) {
                Some(path) => {
                    self.changes.push(Change::CertificateUnreadable { section, path, shown: shown.clone() });
                }
                None if shown.as_ref() == Some(&pair.0) => {}
                None => self.changes.push(Change::OtherCertificate { section, path: pair.0.clone() }),
            }
        }
    }

    /// Gives the administration another port, if a listener has its usual one.
    fn free_admin(&mut self) {
        let place = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let takes = |listener: &&Listening, port| {
            listener.addresses.iter().any(|address| overlap(*address, place(port)))
        };
        let Some(other) = self.listeners.iter().find(|listener| takes(listener, ADMIN)) else { return };
        let is_free = |port: &u16| !self.listeners.iter().any(|listener| takes(&listener, *port));
        let Some(address) = (ADMIN..=u16::MAX).find(is_free).map(place) else { return };
        self.changes.push(Change::AdminElsewhere { section: other.section.clone(), address });
        self.admin = Some(address);
    }
}

/// The addresses that a port with this local address is open at.
fn ips(local_address: &str) -> Option<Vec<IpAddr>> {
    let text = local_address.trim().trim_start_matches('[').trim_end_matches(']');
    if text.eq_ignore_ascii_case("localhost") {
        return Some(LOOPBACKS.to_vec());
    }
    let ip = if text.is_empty() { ANYWHERE[0] } else { text.parse().ok()? };
    Some(if ip.is_unspecified() { ANYWHERE.to_vec() } else { vec![ip] })
}
