//! Who may come to a listener, and as whom: the part of a `[[listeners]]` table that a reload applies.
//!
//! Everything here is judged by the address that counts: that of the connection or, behind a load balancer, the one
//! that its PROXY header names.

use std::net::IpAddr;

use ipnet::IpNet;

/// Who may come to a listener. The default is all addresses, and none of them stands for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The networks that may connect; empty for all.
    pub from: Vec<IpNet>,
    /// The load balancers: from these a PROXY header comes first, and is believed.
    pub proxy_protocol: Vec<IpNet>,
    /// Addresses that stand for an account.
    pub devices: Vec<Device>,
}

/// What sends from an address without a login, in the name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where it is.
    pub from: IpNet,
    /// The account's name, or an alias.
    pub account: String,
    /// How many messages it may send in an hour.
    pub messages_per_hour: u32,
}

impl Access {
    /// Whether a client at `address` may connect.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.from.is_empty() || is_in(&self.from, address)
    }

    /// Whether a PROXY header has to come from `address`.
    pub fn is_balancer(&self, address: IpAddr) -> bool {
        is_in(&self.proxy_protocol, address)
    }

    /// The device at `address`; of several the one whose network is the smallest.
    pub fn device(&self, address: IpAddr) -> Option<&Device> {
        let address = address.to_canonical();
        let there = self.devices.iter().filter(|device| device.from.contains(&address));
        there.max_by_key(|device| device.from.prefix_len())
    }
}

/// A socket for both families shows IPv4 as ::ffff:192.0.2.7.
fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_judged_as_itself_and_the_smallest_network_is_the_device() {
        let device = |from: &str, account: &str| Device {
            from: from.parse().unwrap(),
            account: account.to_owned(),
            messages_per_hour: 1,
        };
        let access = Access {
            from: vec!["192.0.2.0/24".parse().unwrap()],
            proxy_protocol: vec!["10.0.0.5/32".parse().unwrap()],
            devices: vec![device("192.0.2.0/24", "floor"), device("192.0.2.7/32", "scanner")],
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(access.admits(ip("::ffff:192.0.2.7")) && !access.admits(ip("192.0.3.7")));
        assert!(access.is_balancer(ip("::ffff:10.0.0.5")) && !access.is_balancer(ip("10.0.0.6")));
        let account = |text: &str| access.device(ip(text)).map(|device| device.account.as_str());
        assert_eq!(account("192.0.2.7"), Some("scanner"));
        assert_eq!(account("::ffff:192.0.2.8"), Some("floor"));
        assert_eq!(account("192.0.3.1"), None);
        assert!(Access::default().admits(ip("192.0.3.7")));
    }
}
