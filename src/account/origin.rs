//! Where an attempt to log in comes from, and the buckets of failed attempts that it is charged to.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a name that tell one bucket from another: an address has no more (RFC 5321 §4.5.3.1).
pub(super) const LONGEST_NAME: usize = 320;

/// The buckets of an attempt: hashes under a key that only this process knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptKey {
    pub(super) pair: u64,
    pub(super) neighbour: u64,
    pub(super) network: Option<u64>,
}

impl AttemptKey {
    /// Of an attempt from `from` at `account`, a folded name.
    pub(super) fn new(hasher: &RandomState, from: IpAddr, account: &str) -> Self {
        let neighbour = neighbour(from);
        let account = account.as_bytes();
        let account = account.get(..LONGEST_NAME).unwrap_or(account);
        Self {
            pair: hasher.hash_one((neighbour, account)),
            neighbour: hasher.hash_one(neighbour),
            network: network(from).map(|network| hasher.hash_one((network, "network"))),
        }
    }
}

/// The address that a guess is charged to. A client with one IPv6 address has the 2^64 of its network, a
/// program on this machine has all of 127.0.0.0/8, and an IPv4 client that came in over an IPv6 socket is an
/// IPv4 client.
fn neighbour(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if !v6.is_loopback() => masked(v6, 64),
        other => other,
    }
}

/// What lies around an IPv6 neighbour.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Some(masked(v6, 48)),
        _ => None,
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))))
}
