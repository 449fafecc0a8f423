//! The origin of a login attempt, and the buckets that the attempt is charged to.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a name that distinguish buckets: an address has no more (RFC 5321 §4.5.3.1).
pub(super) const LONGEST_NAME: usize = 320;

/// The buckets of an attempt: hashes under a key that only this process knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptKey {
    pub(super) pair: u64,
    pub(super) neighbour: u64,
    pub(super) network: Option<u64>,
}

impl AttemptKey {
    /// The buckets of an attempt from `from` at `account`, a folded name.
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

/// The address that a guess is charged to. An IPv6 client controls the 2^64 addresses of its network and a
/// local program all of 127.0.0.0/8, so each of these counts as one. An IPv4 client on an IPv6 socket counts
/// as IPv4.
fn neighbour(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if !v6.is_loopback() => masked(v6, 64),
        other => other,
    }
}

/// The /48 around an IPv6 neighbour.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Some(masked(v6, 48)),
        _ => None,
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))))
}
