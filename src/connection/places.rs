//! The places for connections, and the choice of the connection that gives its place up when all are taken.
//!
//! A connection without a right password keeps its place only while places are free. When all are taken, a new
//! connection takes the place of the oldest connection of the address or IPv6 /48 that holds at least two more
//! such connections than the new one's. If there is none, the oldest connection gives way whose time to log in is
//! over. So silent strangers, from any number of addresses, leave room for a login, and a session is never ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::account::{client, network};
use crate::mutex::lock;

/// After this time, a mail program has presented its password.
const TIME_TO_LOG_IN: Duration = Duration::from_secs(10);
/// With a difference of one, two addresses could displace each other in turns.
const MORE: usize = 2;

/// All places.
pub struct Places {
    limit: AtomicUsize,
    per_address: AtomicUsize,
    began: Instant,
    crowd: Arc<Mutex<Crowd>>,
}

/// A connection's place, until it is dropped.
pub struct ConnectionPermit {
    crowd: Arc<Mutex<Crowd>>,
    number: Number,
    address: IpAddr,
    /// Notified when a new connection has taken the place.
    lost: Option<oneshot::Receiver<()>>,
    is_known: bool,
    is_logged_in: bool,
}

/// Why a connection gets no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All places are taken.
    #[error("{0} connections are open, and limits.connections allows no more")]
    All(usize),
    /// The address has too many connections that have not logged in.
    #[error("{0} has {1} connections that have not logged in; no more are taken")]
    Address(IpAddr, usize),
}

/// A connection's number: the microsecond of its arrival, or the next free one.
type Number = u64;

#[derive(Default)]
struct Crowd {
    /// Number of taken places.
    taken: usize,
    last: Number,
    /// Number of connections that have not logged in, by address.
    logging_in: HashMap<IpAddr, usize>,
    /// Connections without a right password, the oldest first.
    unknown: BTreeMap<Number, Unknown>,
    addresses: Groups,
    /// IPv6 networks only; IPv4 addresses are not grouped.
    networks: Groups,
}

struct Unknown {
    address: IpAddr,
    lose: oneshot::Sender<()>,
}

impl Places {
    /// `limit` places in all, and `per_address` for connections of one address that have not logged in.
    pub fn new(limit: usize, per_address: usize) -> Self {
        let (limit, per_address) = (AtomicUsize::new(limit), AtomicUsize::new(per_address));
        Self { limit, per_address, began: Instant::now(), crowd: Arc::default() }
    }

    /// Sets the limits for new connections; open connections are not ended.
    pub fn limit_to(&self, limit: usize, per_address: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.per_address.store(per_address, Ordering::Relaxed);
    }

    /// A place for a connection from `from`, and the address of the connection that gave it up.
    pub fn enter(&self, from: IpAddr) -> Result<(ConnectionPermit, Option<IpAddr>), Full> {
        let address = client(from);
        let (limit, per_address) =
            (self.limit.load(Ordering::Relaxed), self.per_address.load(Ordering::Relaxed));
        let now = Number::try_from(self.began.elapsed().as_micros()).unwrap_or(Number::MAX);
        let mut crowd = lock(&self.crowd);
        if crowd.logging_in.get(&address).copied().unwrap_or_default() >= per_address {
            return Err(Full::Address(address, per_address));
        }
        let displaced = match crowd.taken < limit {
            true => None,
            false => Some(crowd.make_room(address, now).ok_or(Full::All(limit))?),
        };
        let number = now.max(crowd.last.saturating_add(1));
        let (lose, lost) = oneshot::channel();
        crowd.last = number;
        crowd.taken += 1;
        *crowd.logging_in.entry(address).or_default() += 1;
        crowd.unknown.insert(number, Unknown { address, lose });
        crowd.addresses.add(address, number);
        if let Some(network) = network(address) {
            crowd.networks.add(network, number);
        }
        drop(crowd);
        let crowd = self.crowd.clone();
        let permit = ConnectionPermit {
            crowd,
            number,
            address,
            lost: Some(lost),
            is_known: false,
            is_logged_in: false,
        };
        Ok((permit, displaced))
    }
}

impl Crowd {
    /// Frees a place for `newcomer`; returns the address of the connection that had it.
    fn make_room(&mut self, newcomer: IpAddr, now: Number) -> Option<IpAddr> {
        let own = self.addresses.size(newcomer);
        let own_network = network(newcomer).map_or(own, |network| self.networks.size(network));
        let oldest = self.addresses.oldest_of_biggest(own + MORE);
        let oldest = oldest.or_else(|| self.networks.oldest_of_biggest(own_network + MORE));
        let number = oldest.or_else(|| {
            let time = Number::try_from(TIME_TO_LOG_IN.as_micros()).unwrap_or(Number::MAX);
            let (&number, _) = self.unknown.first_key_value()?;
            (now.saturating_sub(number) >= time).then_some(number)
        })?;
        let Unknown { address, lose } = self.forget(number)?;
        self.taken -= 1;
        let _ = lose.send(());
        Some(address)
    }

    /// Removes the connection from those without a right password; `None` if it was not among them.
    fn forget(&mut self, number: Number) -> Option<Unknown> {
        let unknown = self.unknown.remove(&number)?;
        self.addresses.remove(unknown.address, number);
        if let Some(network) = network(unknown.address) {
            self.networks.remove(network, number);
        }
        Some(unknown)
    }

    fn logged_in(&mut self, address: IpAddr) {
        if let Some(count) = self.logging_in.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.logging_in.remove(&address);
            }
        }
    }
}

impl ConnectionPermit {
    /// A right password was presented: the connection keeps its place. False if a new connection has taken it.
    pub(super) fn keep(&mut self) -> bool {
        if !self.is_known {
            self.is_known = lock(&self.crowd).forget(self.number).is_some();
        }
        self.is_known
    }

    /// Stops counting the connection among those of its address that have not logged in.
    pub(super) fn logged_in(&mut self) {
        if !self.is_logged_in {
            self.is_logged_in = true;
            lock(&self.crowd).logged_in(self.address);
        }
    }

    /// Completes when a new connection has taken the place. Call it once.
    pub(super) fn lost(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let lost = self.lost.take();
        async move {
            // If the sender was dropped, the connection keeps its place.
            if let Some(lost) = lost
                && lost.await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.logged_in();
        let mut crowd = lock(&self.crowd);
        if self.is_known || crowd.forget(self.number).is_some() {
            crowd.taken -= 1;
        }
    }
}

/// Connections by their address or network.
#[derive(Default)]
struct Groups {
    members: HashMap<IpAddr, BTreeSet<Number>>,
    sizes: BTreeSet<(usize, IpAddr)>,
}

impl Groups {
    fn size(&self, group: IpAddr) -> usize {
        self.members.get(&group).map_or(0, BTreeSet::len)
    }

    fn add(&mut self, group: IpAddr, number: Number) {
        let members = self.members.entry(group).or_default();
        self.sizes.remove(&(members.len(), group));
        members.insert(number);
        self.sizes.insert((members.len(), group));
    }

    fn remove(&mut self, group: IpAddr, number: Number) {
        let Some(members) = self.members.get_mut(&group) else { return };
        self.sizes.remove(&(members.len(), group));
        members.remove(&number);
        match members.len() {
            0 => drop(self.members.remove(&group)),
            left => drop(self.sizes.insert((left, group))),
        }
    }

    /// The oldest connection of the biggest group, if that holds at least `least`.
    fn oldest_of_biggest(&self, least: usize) -> Option<Number> {
        let (_, group) = self.sizes.last().filter(|(size, _)| *size >= least)?;
        self.members.get(group)?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn places(limit: usize) -> Places {
        Places::new(limit, 4)
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn came(places: &Places, from: IpAddr) -> ConnectionPermit {
        places.enter(from).ok().unwrap().0
    }

    fn displaced(places: &Places, from: IpAddr) -> Option<IpAddr> {
        places.enter(from).ok().unwrap().1
    }

    #[tokio::test]
    async fn security_row_31_a_newcomer_takes_the_oldest_place_of_the_address_that_has_most() {
        let places = places(6);
        let mut slots: Vec<ConnectionPermit> = [1, 2, 2, 3, 3, 3].map(|last| came(&places, v4(last))).into();
        let (newcomer, displaced) = places.enter(v4(4)).unwrap();
        assert_eq!(displaced, Some(v4(3)));
        slots[3].lost().await;
        assert!(!slots[3].keep(), "it came too late");
        drop(slots.remove(3));
        assert_eq!(lock(&places.crowd).taken, 6, "the place is the newcomer's");
        drop((slots, newcomer));
        let crowd = lock(&places.crowd);
        assert!(crowd.taken == 0 && crowd.unknown.is_empty() && crowd.logging_in.is_empty());
        assert!(crowd.addresses.members.is_empty() && crowd.addresses.sizes.is_empty());
    }

    #[test]
    fn security_row_31_one_place_more_is_no_reason_and_neither_is_a_known_one() {
        let places = places(4);
        let mut slots: Vec<ConnectionPermit> = [1, 2, 3, 3].map(|last| came(&places, v4(last))).into();
        assert_eq!(places.enter(v4(1)).err(), Some(Full::All(4)));
        assert!(slots[3].keep() && slots[2].keep());
        assert_eq!(places.enter(v4(4)).err(), Some(Full::All(4)));
        drop(slots.remove(3));
        assert_eq!(displaced(&places, v4(4)), None);
    }

    #[tokio::test]
    async fn security_row_31_a_place_is_safe_for_ten_seconds_and_then_the_oldest_goes() {
        let mut places = places(2);
        let _slots = [came(&places, v4(1)), came(&places, v4(2))];
        places.began -= TIME_TO_LOG_IN - Duration::from_secs(1);
        assert_eq!(places.enter(v4(3)).err(), Some(Full::All(2)));
        places.began -= Duration::from_secs(1);
        assert_eq!(displaced(&places, v4(3)), Some(v4(1)));
    }

    #[test]
    fn security_row_31_the_networks_of_an_ipv6_site_are_counted_together() {
        let places = places(4);
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        let _slots = ["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2:1::1"]
            .map(|text| came(&places, v6(text)));
        let (_newcomer, displaced) = places.enter(v4(1)).unwrap();
        assert_eq!(displaced, Some(v6("2001:db8:1:1::")));
        assert_eq!(places.enter(v6("2001:db8:1:4::1")).err(), Some(Full::All(4)));
    }

    #[test]
    fn an_address_has_so_many_places_until_it_logs_in() {
        let places = places(100);
        let mut slots: Vec<ConnectionPermit> = (0..4).map(|_| came(&places, v4(1))).collect();
        assert_eq!(places.enter(v4(1)).err(), Some(Full::Address(v4(1), 4)));
        slots[0].keep();
        assert!(places.enter(v4(1)).is_err(), "it is still signing in");
        slots[0].logged_in();
        slots.push(came(&places, v4(1)));
        assert!(places.enter(v4(1)).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| client(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::1"), "::1");
        assert_eq!(of("127.0.0.2"), "127.0.0.2");
    }
}
