//! The limits of an app password.

use std::net::IpAddr;

use ipnet::IpNet;
use time::Date;

/// The doors, networks and days for which an app password opens its account. The default sets no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The names of the doors that it opens; `None` is all doors, also those of later versions.
    pub doors: Option<Vec<String>>,
    /// The networks of allowed clients; empty allows all.
    pub networks: Vec<IpNet>,
    /// The last day (UTC) on which it is valid.
    pub last_day: Option<Date>,
}

impl Limits {
    /// The limits of passwords from before there was a second door.
    #[cfg(test)]
    pub(crate) fn of_before() -> Self {
        Self { doors: Some(vec!["imap".to_owned()]), ..Self::default() }
    }

    /// Whether the password opens the door with this name.
    pub fn opens(&self, door: &str) -> bool {
        self.doors.as_ref().is_none_or(|doors| doors.iter().any(|name| name == door))
    }

    /// Whether the password opens the door with this name and no other, also in later versions.
    pub fn opens_only(&self, door: &str) -> bool {
        self.doors.as_ref().is_some_and(|doors| !doors.is_empty() && doors.iter().all(|name| name == door))
    }

    /// Whether a client at `from` may use the password. An IPv4 client on an IPv6 socket counts as IPv4.
    pub fn admits(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&from))
    }

    /// The last day, if it is over.
    pub fn ended(&self, today: Date) -> Option<Date> {
        self.last_day.filter(|last| *last < today)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn no_limit_is_none() {
        let limits = Limits::default();
        assert!(limits.opens("imap") && limits.opens("submission"));
        assert!(limits.admits("192.0.2.7".parse().unwrap()) && limits.admits("2001:db8::1".parse().unwrap()));
        assert_eq!(limits.ended(date!(2199 - 12 - 31)), None);
    }

    #[test]
    fn the_doors_are_those_that_are_named() {
        let limits = Limits { doors: Some(vec!["submission".to_owned()]), ..Limits::default() };
        assert!(limits.opens("submission") && !limits.opens("imap"));
        assert!(limits.opens_only("submission") && !Limits::default().opens_only("submission"));
        let both = Limits { doors: Some(vec!["submission".to_owned(), "imap".to_owned()]), ..limits.clone() };
        assert!(both.opens("submission") && !both.opens_only("submission"));
        assert!(Limits::of_before().opens("imap") && !Limits::of_before().opens("submission"));
    }

    #[test]
    fn a_network_admits_its_addresses_and_no_other() {
        let networks = ["192.0.2.0/25", "2001:db8:1::/48"].map(|network| network.parse().unwrap()).to_vec();
        let limits = Limits { networks, ..Limits::default() };
        for (address, admitted) in [
            ("192.0.2.0", true),
            ("192.0.2.127", true),
            ("192.0.2.128", false),
            ("::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.128", false),
            ("2001:db8:1:ffff::1", true),
            ("2001:db8:2::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(limits.admits(address.parse().unwrap()), admitted, "{address}");
        }
    }

    #[test]
    fn the_last_day_is_included() {
        let last = date!(2027 - 02 - 28);
        let limits = Limits { last_day: Some(last), ..Limits::default() };
        assert_eq!(limits.ended(last), None);
        assert_eq!(limits.ended(date!(2027 - 03 - 01)), Some(last));
    }
}
