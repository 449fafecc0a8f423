//! The origin of a login attempt, and the buckets that the attempt is charged to.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::hmac;

/// Octets of a name that distinguish buckets: an address has no more (RFC 5321 §4.5.3.1).
pub(super) const LONGEST_NAME: usize = 320;

/// Hashes what a bucket belongs to.
pub(super) enum Hasher {
    /// Under a key that only this process knows.
    Own(RandomState),
    /// Under a key that all instances share. A loopback address means another client on each machine, so the machine's
    /// name is hashed with it.
    Shared(Box<hmac::Key>, String),
}

impl Hasher {
    /// The hash of an address and a name.
    fn hash(&self, kind: &str, address: IpAddr, name: &[u8]) -> u64 {
        let (key, machine) = match self {
            Self::Own(own) => return own.hash_one((kind, address, name)),
            Self::Shared(key, machine) => (key, machine),
        };
        let octets = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let mut context = hmac::Context::with_key(key);
        context.update(kind.as_bytes());
        context.update(&octets);
        if address.is_loopback() {
            context.update(machine.as_bytes());
            context.update(&[0]);
        }
        context.update(name);
        let tag = context.sign();
        let first = tag.as_ref().first_chunk::<8>().copied();
        u64::from_be_bytes(first.unwrap_or_default())
    }
}

/// The buckets of an attempt: keyed hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptKey {
    pub(super) pair: u64,
    pub(super) neighbour: u64,
    pub(super) network: Option<u64>,
}

impl AttemptKey {
    /// The buckets of an attempt from `from` at `account`, a folded name.
    pub(super) fn new(hasher: &Hasher, from: IpAddr, account: &str) -> Self {
        let neighbour = neighbour(from);
        let account = account.as_bytes();
        let account = account.get(..LONGEST_NAME).unwrap_or(account);
        Self {
            pair: hasher.hash("pair", neighbour, account),
            neighbour: hasher.hash("from", neighbour, &[]),
            network: network(from).map(|network| hasher.hash("site", network, &[])),
        }
    }
}

/// The address that a guess is charged to. An IPv6 client controls the 2^64 addresses of its network and a
/// local program all of 127.0.0.0/8, so each of these counts as one. An IPv4 client on an IPv6 socket counts
/// as IPv4.
fn neighbour(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => client(other),
    }
}

/// The address that stands for one client. A client with one IPv6 address has the 2^64 of its network (RFC 6177), and an
/// IPv4 client on an IPv6 socket counts as IPv4.
pub(crate) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => masked(v6, 64),
        other => other,
    }
}

/// The network of an IPv6 client: a site has a /48.
pub(crate) fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Some(masked(v6, 48)),
        _ => None,
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))))
}
