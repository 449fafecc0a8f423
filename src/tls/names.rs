//! The names in the proxy's own certificate, and the names that the local CA may sign.
//!
//! A certificate always names `localhost`, `127.0.0.1` and `::1`; `[tls] hostnames` adds to them. The CA is
//! constrained to the same set when it is made (RFC 5280 §4.2.1.10), so that a stolen CA key is worthless for any
//! other name. A CA that constrains DNS names must constrain IP addresses too, or it could sign any address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints, SanType};
use rustls::pki_types::DnsName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// DNS names (lower case, perhaps with a leading `*.`) and addresses, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostNames {
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// The names and addresses that a CA is limited to (RFC 5280 §4.2.1.10).
pub(super) fn permitted(ca: &X509Certificate<'_>) -> Vec<String> {
    let constraints = ca.name_constraints().ok().flatten();
    let subtrees = constraints.and_then(|found| found.value.permitted_subtrees.as_ref());
    let name = |base: &GeneralName<'_>| match base {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        // An address and its mask.
        GeneralName::IPAddress(bytes) => match bytes.split_at_checked(bytes.len() / 2)?.0 {
            address @ [_, _, _, _] => {
                <[u8; 4]>::try_from(address).ok().map(|four| IpAddr::from(four).to_string())
            }
            address => <[u8; 16]>::try_from(address).ok().map(|all| IpAddr::from(all).to_string()),
        },
        _ => None,
    };
    subtrees.into_iter().flatten().filter_map(|subtree| name(&subtree.base)).collect()
}

impl HostNames {
    /// The loopback names and `hostnames`; the error is the entry that is not a name.
    pub(super) fn new(hostnames: &[String]) -> Result<Self, String> {
        let mut names = Self {
            dns: vec!["localhost".to_owned()],
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        };
        for hostname in hostnames {
            names.add(hostname).ok_or_else(|| hostname.clone())?;
        }
        Ok(names)
    }

    fn add(&mut self, hostname: &str) -> Option<()> {
        if let Ok(address) = hostname.parse() {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
            return Some(());
        }
        let name = hostname.trim_end_matches('.').to_ascii_lowercase();
        DnsName::try_from(base(&name)).ok()?;
        if !self.dns.contains(&name) {
            self.dns.push(name);
        }
        Some(())
    }

    /// The subject alternative names of a leaf (RFC 5280 §4.2.1.6).
    pub(super) fn alternative_names(&self) -> Result<Vec<SanType>, rcgen::Error> {
        let dns = self.dns.iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
        let addresses = self.addresses.iter().map(|address| Ok(SanType::IpAddress(*address)));
        dns.chain(addresses).collect()
    }

    /// The constraints of a CA: these names, names below them, and no others.
    pub(super) fn constraints(&self) -> NameConstraints {
        let dns = self.dns.iter().map(|name| GeneralSubtree::DnsName(base(name).to_owned()));
        let addresses = self.addresses.iter().map(|address| {
            let all_bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, all_bits))
        });
        NameConstraints { permitted_subtrees: dns.chain(addresses).collect(), excluded_subtrees: vec![] }
    }

    /// The first of these names that a CA with the `permitted` subtrees may not sign.
    pub(super) fn first_not_permitted(&self, permitted: &[GeneralName<'_>]) -> Option<String> {
        let dns = self.dns.iter().find(|name| !permitted.iter().any(|subtree| permits_dns(subtree, name)));
        let address = || {
            let permits = |address: &IpAddr| permitted.iter().any(|s| permits_address(s, *address));
            self.addresses.iter().find(|address| !permits(address))
        };
        dns.cloned().or_else(|| address().map(ToString::to_string))
    }

    /// Whether the `names` of a certificate are exactly these.
    pub(super) fn are(&self, names: &[GeneralName<'_>]) -> bool {
        let same = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => self.dns.iter().any(|own| own == name),
            GeneralName::IPAddress(octets) => self.addresses.iter().any(|own| octets_of(*own) == *octets),
            _ => false,
        };
        names.len() == self.dns.len() + self.addresses.len() && names.iter().all(same)
    }

    /// The name for the subject, for the few clients that still read it.
    pub(super) fn first(&self) -> &str {
        self.dns.get(1).or(self.dns.first()).map_or("localhost", String::as_str)
    }
}

/// The base of a wildcard, which stands for all names below it.
fn base(name: &str) -> &str {
    name.strip_prefix("*.").unwrap_or(name)
}

fn permits_dns(subtree: &GeneralName<'_>, name: &str) -> bool {
    let GeneralName::DNSName(permitted) = subtree else { return false };
    let Some(below) = base(name).strip_suffix(*permitted) else { return false };
    below.is_empty() || below.ends_with('.')
}

/// A subtree of addresses is an address followed by a mask of the same length.
fn permits_address(subtree: &GeneralName<'_>, address: IpAddr) -> bool {
    let GeneralName::IPAddress(subtree) = subtree else { return false };
    let octets = octets_of(address);
    if subtree.len() != octets.len() * 2 {
        return false;
    }
    let (network, mask) = subtree.split_at(octets.len());
    octets.iter().zip(network).zip(mask).all(|((octet, network), mask)| octet & mask == network & mask)
}

fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hostnames: &[&str]) -> Result<HostNames, String> {
        HostNames::new(&hostnames.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn hostnames_are_names_or_addresses_and_nothing_else() {
        let both = names(&["Mail.Example.", "mail.example", "192.0.2.7", "::1", "*.corp.example"]).unwrap();
        assert_eq!(both.dns, ["localhost", "mail.example", "*.corp.example"]);
        assert_eq!(both.addresses.len(), 3);
        for wrong in ["", "mail example", "m\u{fc}ller.example", "a..b", "*", "*.*.x", "imap://x", "x:993"] {
            assert_eq!(names(&[wrong]), Err(wrong.to_owned()), "{wrong:?}");
        }
    }

    #[test]
    fn constraints_permit_a_name_what_is_below_it_and_exact_addresses() {
        let permitted = [
            GeneralName::DNSName("localhost"),
            GeneralName::DNSName("corp.example"),
            GeneralName::IPAddress(&[127, 0, 0, 1, 255, 255, 255, 255]),
            GeneralName::IPAddress(
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
                    .iter()
                    .chain(&[255; 16])
                    .copied()
                    .collect::<Vec<_>>(),
            ),
        ];
        let first = |hostnames: &[&str]| names(hostnames).unwrap().first_not_permitted(&permitted);
        assert_eq!(first(&["corp.example", "imap.corp.example", "*.corp.example"]), None);
        assert_eq!(first(&["notcorp.example"]), Some("notcorp.example".to_owned()));
        assert_eq!(first(&["example"]), Some("example".to_owned()));
        assert_eq!(first(&["192.0.2.1"]), Some("192.0.2.1".to_owned()));
    }
}
