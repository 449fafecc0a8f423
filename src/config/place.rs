//! Places that a configuration names: files beside it, hosts on this machine, and networks.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use url::{Host, Url};

use super::error::Problem;

/// The base of relative paths: the file's directory, or the current one.
pub(super) struct Base(pub(super) Option<PathBuf>);

impl Base {
    pub(super) fn resolve(&self, path: PathBuf) -> PathBuf {
        match &self.0 {
            Some(directory) => directory.join(path),
            None => path,
        }
    }
}

/// An IP address with a port, at the key `at`.
pub(super) fn socket_address<const N: usize>(
    at: [&str; N],
    text: &str,
    hint: &str,
) -> Result<SocketAddr, Problem> {
    let wrong = |_| Problem::at(at, format!("{text:?} is not an IP address with a port")).hint(hint);
    text.parse().map_err(wrong)
}

/// Whether the URL's host is this machine, without asking the resolver.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A network, or a single address. IPv4 mapped into IPv6 counts as IPv4, like clients on an IPv6 socket. Bits of
/// the host part stay, so that the caller can check them.
pub fn network(text: &str) -> Option<IpNet> {
    let alone = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let network = text.parse::<IpNet>().or_else(|_| alone()).ok()?;
    let as_ipv4 = || {
        let IpNet::V6(v6) = network else { return None };
        let prefix = v6.prefix_len().checked_sub(96)?;
        Ipv4Net::new(v6.addr().to_ipv4_mapped()?, prefix).ok().map(IpNet::V4)
    };
    Some(as_ipv4().unwrap_or(network))
}

/// Whether two listeners cannot have these addresses at the same time. IPv6 addresses do not include IPv4.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same = one.ip() == other.ip() || (is_all && one.is_ipv4() == other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && is_same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_networks_are_ipv4_and_bits_of_the_host_stay() {
        for (text, read) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7/24", "192.0.2.7/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::/48", "2001:db8::/48"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), read, "{text}");
        }
        assert!(["", "192.0.2.0/33", "x"].iter().all(|text| network(text).is_none()));
    }
}
