//! The ports that are moved, and their security.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::left::{Change, Left, Why};
use super::source::{Kind, Server};
use crate::config::{Door, Security, overlap};

/// A new listener.
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
    pub(super) changes: Vec<Change>,
    pub(super) left: Vec<Left>,
}

/// The door of a server.
pub(super) fn door(kind: Kind) -> Door {
    match kind {
        Kind::Imap => Door::Imap,
        Kind::Pop => Door::Pop3,
        Kind::Smtp => Door::Submission,
    }
}

impl Ports {
    /// The listeners for the `servers` of a configuration.
    pub(super) fn of(servers: &[Server]) -> Self {
        let mut ports = Self::default();
        for server in servers {
            // A section that stays behind changes nothing.
            let (changes, certificate) = (ports.changes.len(), ports.certificate.clone());
            match ports.listening(server).and_then(|listening| ports.alone(listening)) {
                Ok(listening) => ports.listeners.push(listening),
                Err(why) => {
                    ports.changes.truncate(changes);
                    ports.certificate = certificate;
                    ports.left.push(Left { section: server.section.clone(), line: server.line, why });
                }
            }
        }
        ports
    }

    fn listening(&mut self, server: &Server) -> Result<Listening, Why> {
        let door = door(server.kind);
        let (section, port) = (server.section.clone(), server.port);
        let place = Place::of(&server.local_address)
            .ok_or_else(|| Why::LocalAddress { address: server.local_address.clone() })?;
        let written = match (&server.certificate, server.starttls_here) {
            (Some(_), true) => Security::Starttls,
            (Some(_), false) => Security::Tls,
            (None, _) => Security::None,
        };
        if let Some(certificate) = &server.certificate {
            self.show(&section, certificate);
        }
        let (place, security) = match (place, written) {
            (Place::Anywhere, Security::None) => {
                self.changes.push(Change::ThisMachineOnly { section: section.clone(), port, door });
                (Place::Loopbacks, Security::None)
            }
            (Place::At(ip), Security::None) if !ip.is_loopback() => {
                let address = SocketAddr::new(ip, port);
                self.changes.push(Change::NowTls { section: section.clone(), address });
                (place, Security::Tls)
            }
            kept => kept,
        };
        let addresses = place.addresses().into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
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

    /// Takes the certificate of a section: all listeners share one.
    fn show(&mut self, section: &str, (certificate, key): &(PathBuf, PathBuf)) {
        let section = section.to_owned();
        let unreadable = [certificate, key].into_iter().find(|path| std::fs::File::open(path).is_err());
        match (&self.certificate, unreadable) {
            (_, Some(path)) => {
                self.changes.push(Change::CertificateUnreadable { section, path: path.clone() });
            }
            (None, None) => self.certificate = Some((certificate.clone(), key.clone())),
            (Some((shown, _)), None) if shown == certificate => {}
            (Some(_), None) => {
                self.changes.push(Change::OtherCertificate { section, path: certificate.clone() });
            }
        }
    }
}

/// The reach of a port.
#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    Loopbacks,
    At(IpAddr),
}

impl Place {
    fn of(local_address: &str) -> Option<Self> {
        let text = local_address.trim().trim_start_matches('[').trim_end_matches(']');
        if text.is_empty() || text.eq_ignore_ascii_case("localhost") {
            return Some(if text.is_empty() { Self::Anywhere } else { Self::Loopbacks });
        }
        let ip: IpAddr = text.parse().ok()?;
        Some(if ip.is_unspecified() { Self::Anywhere } else { Self::At(ip) })
    }

    fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::Anywhere => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            Self::Loopbacks => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::At(ip) => vec![ip],
        }
    }
}
