//! The clients of a listener in the written form: `from`, `proxy_protocol`, and the devices.

use ipnet::IpNet;

use super::{DeviceFile, Door, ListenerFile, Problem};
use crate::config::{Access, Device, network};

/// Enough for a busy scanner, and little for a spammer.
const MESSAGES_PER_HOUR: u32 = 120;
/// A device has one address, or a small network of similar devices: never a whole company's.
const WIDEST_V4: u8 = 24;
const WIDEST_V6: u8 = 64;

/// The access of the listener with that index.
pub(super) fn access(index: &str, protocol: Door, file: &ListenerFile) -> Result<Access, Problem> {
    let at = |key: &'static str| ["listeners", index, key];
    let networks = |key: &'static str, written: &[String]| -> Result<Vec<IpNet>, Problem> {
        written.iter().map(|text| source(at(key), text)).collect()
    };
    let from = networks("from", &file.from)?;
    let proxy_protocol = networks("proxy_protocol", &file.proxy_protocol)?;
    if has_all(&proxy_protocol) {
        let message = "would believe every client that writes a header of its own";
        return Err(Problem::at(at("proxy_protocol"), message)
            .hint("write the addresses of the load balancers: proxy_protocol = [\"10.0.0.5/32\"]"));
    }
    if let (Some(_), true) = (file.devices.first(), protocol != Door::Submission) {
        return Err(Problem::at(at("devices"), "are for protocol = \"submission\": a device only sends")
            .hint("move them to a listener with protocol = \"submission\""));
    }
    let mut access = Access {
        from,
        proxy_protocol,
        devices: Vec::new(),
        acknowledge_cleartext: file.acknowledge_cleartext,
    };
    for (number, file) in file.devices.iter().enumerate() {
        let device = device(&["listeners", index, "devices", &number.to_string()], file, &access)?;
        access.devices.push(device);
    }
    Ok(access)
}

/// Whether the networks together are all addresses of IPv4 or of IPv6.
pub(super) fn has_all(networks: &Vec<IpNet>) -> bool {
    IpNet::aggregate(networks).iter().any(|network| network.prefix_len() == 0)
}

fn device(at: &[&str; 4], file: &DeviceFile, access: &Access) -> Result<Device, Problem> {
    let wrong = |key: &str, message: String| {
        let path = at.iter().copied().chain([key]).map(str::to_owned).collect();
        Problem::at_path(path, message)
    };
    let [listeners, index, ..] = *at;
    let (Some(from), Some(account)) = (&file.from, &file.account) else {
        return Err(unfinished(at, file));
    };
    let from = source([listeners, index, "devices"], from)?;
    let widest = if from.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
    if from.prefix_len() < widest {
        let message = format!("{from} is too wide to stand for one account without a password");
        return Err(wrong("from", message).hint(format!(
            "write the device's address, or a network no wider than /{widest}; one table a device"
        )));
    }
    if let Some(balancer) = access.proxy_protocol.iter().find(|network| overlap(network, &from)) {
        let message = format!(
            "{from} overlaps {balancer} of proxy_protocol: every client of the load balancer would be the device"
        );
        return Err(wrong("from", message)
            .hint("write the device's own address, which the load balancer's header names"));
    }
    if let Some(other) = access.devices.iter().find(|other| other.from == from) {
        let message = format!("{from} stands for {} already", other.account);
        return Err(wrong("from", message).hint("write one table for each address"));
    }
    if !access.from.is_empty() && !access.from.iter().any(|network| overlap(network, &from)) {
        let message =
            format!("{from} is in no network of the listener's from, so the device could not connect");
        return Err(wrong("from", message).hint("add it to from of the listener"));
    }
    if account.starts_with('@') {
        let message = format!("{account} is the account of a whole domain; a device is one mailbox");
        return Err(wrong("account", message).hint("write the address of an account of its own"));
    }
    if account.is_empty() || account.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("account", format!("{account:?} is not an account's name"))
            .hint("write account = \"scan@corp.example\", as accounts list shows it"));
    }
    let messages_per_hour = file.messages_per_hour.unwrap_or(MESSAGES_PER_HOUR);
    if messages_per_hour == 0 {
        return Err(wrong("messages_per_hour", "must be at least 1".to_owned())
            .hint("remove the device if it must not send"));
    }
    Ok(Device { from, account: account.clone(), messages_per_hour })
}

/// The mistake of a device without address or account: all that it lacks.
fn unfinished(at: &[&str; 4], file: &DeviceFile) -> Problem {
    let lacking: Vec<&str> = [
        (file.from.is_none(), "from = \"192.168.7.21/32\""),
        (file.account.is_none(), "account = \"scan@corp.example\""),
    ]
    .into_iter()
    .filter_map(|(lacks, line)| lacks.then_some(line))
    .collect();
    let message = format!("an address stands for an account, and this device lacks {}", lacking.join(", "));
    Problem::at(*at, message).hint("write the device's address and the account in whose name it sends")
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// A network, or a single address.
fn source(at: [&str; 3], text: &str) -> Result<IpNet, Problem> {
    let [.., key] = at;
    let network = network(text).ok_or_else(|| {
        Problem::at(at, format!("{text:?} is not a network")).hint(match key {
            "from" => {
                "write from = [\"192.168.7.0/24\", \"2001:db8::/48\"], or leave it out to let all connect"
            }
            "proxy_protocol" => "write the load balancer's address: proxy_protocol = [\"10.0.0.5/32\"]",
            _ => "write the device's address: from = \"192.168.7.21/32\"",
        })
    })?;
    match network.addr() == network.network() {
        true => Ok(network),
        false => Err(Problem::at(at, format!("{text:?} names an address within a network")).hint(format!(
            "write {} for the network, or {} for the one address",
            network.trunc(),
            network.addr()
        ))),
    }
}
