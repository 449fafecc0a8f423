//! The limits of app passwords, in the form that a person types.

use ipnet::IpNet;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::error::Error;
use crate::config;
use crate::protocol::Door;
use crate::store::Limits;

/// Each login compares every network.
const MOST_NETWORKS: usize = 100;
const DAY: StaticFormatDescription = format_description!("[year]-[month]-[day]");
/// The store's dates end with this year.
const LAST_YEAR: i32 = 2199;

/// A change to the limits of a password: each given limit replaces the current one, and an empty one removes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limiting {
    /// A list of doors, separated by commas.
    pub(crate) protocols: Option<String>,
    pub(crate) from: Vec<String>,
    pub(crate) expires: Option<String>,
}

/// Checked changes that are not applied yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    doors: Option<Option<Vec<String>>>,
    networks: Option<Vec<IpNet>>,
    last_day: Option<Option<Date>>,
}

impl Limiting {
    /// Checks the values; an invalid value is an error.
    pub(crate) fn judge(&self) -> Result<Change, Error> {
        self.judge_on(OffsetDateTime::now_utc().date())
    }

    fn judge_on(&self, today: Date) -> Result<Change, Error> {
        let names = |list: &String| match list.trim().is_empty() {
            true => Ok(None),
            false => doors(list).map(|doors| Some(doors.iter().map(|door| door.name().to_owned()).collect())),
        };
        let last = |text: &String| match text.trim().is_empty() {
            true => Ok(None),
            false => day(text.trim(), today).map(Some),
        };
        Ok(Change {
            doors: self.protocols.as_ref().map(names).transpose()?,
            networks: (!self.from.is_empty()).then(|| networks(&self.from)).transpose()?,
            last_day: self.expires.as_ref().map(last).transpose()?,
        })
    }
}

impl Change {
    pub(crate) fn apply(self, limits: &mut Limits) {
        if let Some(doors) = self.doors {
            limits.doors = doors;
        }
        if let Some(networks) = self.networks {
            limits.networks = networks;
        }
        if let Some(last_day) = self.last_day {
            limits.last_day = last_day;
        }
    }
}

/// Each limit in a few words; none without limits.
pub(crate) fn clauses(limits: &Limits) -> Vec<String> {
    let Limits { doors, networks, last_day } = limits;
    let doors = doors.as_ref().map(|doors| format!("{} only", doors.join(" and ")));
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    let networks = (!networks.is_empty()).then(|| format!("from {}", networks.join(" and ")));
    let is_over = limits.ended(OffsetDateTime::now_utc().date()).is_some();
    let until = if is_over { "ended on" } else { "until" };
    let last_day = last_day.map(|day| format!("{until} {day}"));
    [doors, networks, last_day].into_iter().flatten().collect()
}

/// The networks of clients on this machine.
pub(super) fn this_machine() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].into_iter().filter_map(config::network).collect()
}

pub(crate) fn door(name: &str) -> Result<Door, Error> {
    let name = name.trim().to_lowercase();
    Door::named(&name).ok_or_else(|| Error::NoProtocol { name, known: Door::ALL.map(Door::name).to_vec() })
}

/// The doors of a list of names, separated by commas, in the order of [`Door::ALL`].
pub(crate) fn doors(list: &str) -> Result<Vec<Door>, Error> {
    let mut doors = list.split(',').map(door).collect::<Result<Vec<_>, _>>()?;
    doors.sort();
    doors.dedup();
    Ok(doors)
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>, Error> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let networks = texts.map(network).collect::<Result<Vec<_>, _>>()?;
    // The fewest equivalent networks, in order.
    let networks = IpNet::aggregate(&networks);
    match networks.len() > MOST_NETWORKS {
        true => Err(Error::TooManyNetworks { most: MOST_NETWORKS }),
        false => Ok(networks),
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, Error> {
    let network = config::network(text).ok_or_else(|| Error::Network { text: text.to_owned() })?;
    if network.addr() != network.network() {
        let (whole, alone) = (network.trunc().to_string(), network.addr().to_string());
        return Err(Error::HostBits { text: text.to_owned(), whole, alone });
    }
    Ok(network)
}

/// A day that has not passed.
fn day(text: &str, today: Date) -> Result<Date, Error> {
    let day = Date::parse(text, &DAY).map_err(|_| Error::Day { text: text.to_owned() })?;
    match day {
        day if day < today => Err(Error::DayOver { day }),
        day if day.year() > LAST_YEAR => Err(Error::Day { text: text.to_owned() }),
        day => Ok(day),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 12 - 01);

    fn judged(protocols: Option<&str>, from: &[&str], expires: Option<&str>) -> Result<Change, Error> {
        let limiting = Limiting {
            protocols: protocols.map(str::to_owned),
            from: from.iter().map(ToString::to_string).collect(),
            expires: expires.map(str::to_owned),
        };
        limiting.judge_on(TODAY)
    }

    #[test]
    fn what_is_given_takes_the_place_of_that_limit_alone() {
        let mut limits = Limits::of_before();
        judged(None, &["192.0.2.0/24", "2001:db8::1"], None).unwrap().apply(&mut limits);
        judged(None, &[], Some("2026-12-01")).unwrap().apply(&mut limits);
        let networks = ["192.0.2.0/24", "2001:db8::1/128"].map(|text| text.parse().unwrap()).to_vec();
        let whole = Limits { networks, last_day: Some(TODAY), ..Limits::of_before() };
        assert_eq!(limits, whole);
        judged(Some("submission, IMAP,imap"), &[], None).unwrap().apply(&mut limits);
        assert_eq!(limits.doors.as_deref().unwrap(), ["imap", "submission"]);
        judged(Some(""), &[""], Some("")).unwrap().apply(&mut limits);
        assert_eq!(limits, Limits::default(), "what is empty lifts it");
        judged(None, &[], None).unwrap().apply(&mut limits);
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn networks_are_the_fewest_that_mean_the_same() {
        let mut limits = Limits::default();
        let from = ["192.0.2.0/25", "192.0.2.128/25", "::ffff:198.51.100.0/120", "::ffff:203.0.113.7"];
        judged(None, &from, None).unwrap().apply(&mut limits);
        let texts: Vec<String> = limits.networks.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.7/32"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |judged: Result<Change, Error>| judged.unwrap_err().to_string();
        assert!(refused(judged(Some("imap,jmap"), &[], None)).contains("does not speak \"jmap\""));
        assert!(refused(judged(Some("smtp"), &[], None)).contains("does not speak \"smtp\""));
        assert!(refused(judged(Some("imap,"), &[], None)).contains("does not speak \"\""));
        for text in ["192.0.2.0/33", "everywhere", "192.0.2", "192.0.2.0/-1", "192.0.2.0 /24", "fe80::1%eth0"]
        {
            assert!(refused(judged(None, &[text], None)).contains("is no network"), "{text}");
        }
        assert!(
            refused(judged(None, &["192.0.2.7/24"], None)).contains("is neither a network nor an address")
        );
        for text in ["tomorrow", "2027-13-01", "2027-02-29", "27-02-01", "2200-01-01", "20270201"] {
            assert!(refused(judged(None, &[], Some(text))).contains("is no day"), "{text}");
        }
        assert!(refused(judged(None, &[], Some("2026-11-30"))).contains("is over"));
        let many: Vec<String> = (0..=MOST_NETWORKS).map(|number| format!("10.{number}.0.0/24")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(refused(judged(None, &many, None)).contains("100 at most"));
    }
}
