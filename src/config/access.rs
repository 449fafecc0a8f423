//! The clients and devices of a listener: the part of a `[[listeners]]` table that a reload applies.
//!
//! All checks use the client's address: that of the connection or, behind a load balancer, the one in its PROXY
//! header.

use std::net::IpAddr;

use ipnet::IpNet;

/// The clients that may use a listener. By default all addresses may, and there are no devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The networks that may connect; empty for all.
    pub from: Vec<IpNet>,
    /// The load balancers: a connection from these begins with a PROXY header, which is trusted.
    pub proxy_protocol: Vec<IpNet>,
    /// Addresses that stand for an account.
    pub devices: Vec<Device>,
    /// The administrator knows that the listener speaks cleartext: behind a load balancer, that this ends TLS.
    pub acknowledge_cleartext: bool,
}

/// A device that sends without a login, from its address, in the name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address or network.
    pub from: IpNet,
    /// The account's name, or an alias.
    pub account: String,
    /// The most messages that it may send in an hour.
    pub messages_per_hour: u32,
}

impl Access {
    /// Whether a client at `address` may connect.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.from.is_empty() || is_in(&self.from, address)
    }

    /// Whether a connection from `address` must begin with a PROXY header.
    pub fn is_balancer(&self, address: IpAddr) -> bool {
        is_in(&self.proxy_protocol, address)
    }

    /// The device at `address`; among several, the one with the smallest network.
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
            acknowledge_cleartext: false,
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
