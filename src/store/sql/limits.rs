//! The limits of an app password, as columns.
//!
//! An unreadable limit is an error, which refuses the login: damage to a row must not remove a limit.

use ipnet::IpNet;
use sqlx::Row as _;
use time::Date;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::dialect::Row;
use crate::store::{Limits, Result, StoreError};

const DAY: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// The columns `protocols`, `networks` and `last_day`.
pub(super) fn limit_columns(limits: &Limits) -> [Option<String>; 3] {
    let networks: Vec<String> = limits.networks.iter().map(IpNet::to_string).collect();
    let networks = (!networks.is_empty()).then(|| networks.join(" "));
    [limits.doors.as_ref().map(|doors| doors.join(",")), networks, limits.last_day.map(day_column)]
}

/// A day as text that sorts like days.
pub(super) fn day_column(day: Date) -> String {
    // Limits have four-digit years, which always have this form.
    day.format(&DAY).unwrap_or_else(|_| day.to_string())
}

/// The day of such a text.
pub(super) fn day_of_column(text: &str) -> Option<Date> {
    Date::parse(text, &DAY).ok()
}

/// The limits of an app password's row.
pub(super) fn limits(row: &Row) -> Result<Limits> {
    let column = |name: &str| row.try_get::<Option<String>, _>(name);
    let unreadable =
        |what: &str| StoreError::Unusable(format!("an app password has the unreadable limit {what:?}"));
    let protocols = column("p_protocols")?;
    let networks = column("p_networks")?.unwrap_or_default();
    let last_day = column("p_last_day")?;
    Ok(Limits {
        doors: protocols.map(|names| names.split(',').map(str::to_owned).collect()),
        networks: networks
            .split_ascii_whitespace()
            .map(|network| network.parse().map_err(|_| unreadable(network)))
            .collect::<Result<_, _>>()?,
        last_day: match last_day {
            Some(day) => Some(day_of_column(&day).ok_or_else(|| unreadable(&day))?),
            None => None,
        },
    })
}
