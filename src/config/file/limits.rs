//! The limits, in the written form.

use std::ops::RangeInclusive;

use super::{LimitSettings, LimitsFile, Problem};

/// From accept to a finished login. Old clients give up after 30 to 60 s, Exchange drops silent
/// connections after 60.
const LOGIN_SECONDS: u64 = 60;
/// A shorter time would leave too little for the provider.
const LOGIN_SECONDS_RANGE: RangeInclusive<u64> = 5..=3600;
const CONNECTIONS: usize = 10_000;
const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// A person mistypes twice; a program that retries has its answer by then.
const FAILED_LOGINS: u32 = 4;
/// Most messages are sent within this time; then sessions are ended.
const DRAIN_SECONDS: u64 = 25;
/// Most mail programs that always run disconnect at least once a day.
const TAKEOVER_SECONDS: u64 = 24 * 60 * 60;
const DRAIN_SECONDS_RANGE: RangeInclusive<u64> = 1..=3600;

/// The limits, each checked against its range.
pub(super) fn limits(file: &LimitsFile) -> Result<LimitSettings, Problem> {
    let drain_seconds =
        within("drain_seconds", file.drain_seconds.unwrap_or(DRAIN_SECONDS), DRAIN_SECONDS_RANGE);
    Ok(LimitSettings {
        login_seconds: within(
            "login_seconds",
            file.login_seconds.unwrap_or(LOGIN_SECONDS),
            LOGIN_SECONDS_RANGE,
        )?,
        connections: at_least_one("connections", file.connections, CONNECTIONS)?,
        connections_per_address: at_least_one(
            "connections_per_address",
            file.connections_per_address,
            CONNECTIONS_PER_ADDRESS,
        )?,
        failed_logins: at_least_one("failed_logins", file.failed_logins, FAILED_LOGINS)?,
        drain_seconds: drain_seconds.map_err(|problem| {
            problem.hint("write a number of seconds; systemd's TimeoutStopSec must be longer by 35")
        })?,
        takeover_seconds: file.takeover_seconds.unwrap_or(TAKEOVER_SECONDS),
    })
}

fn within(key: &str, seconds: u64, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    match range.contains(&seconds) {
        true => Ok(seconds),
        false => {
            let message = format!("{seconds} is not between {} and {}", range.start(), range.end());
            Err(Problem::at(["limits", key], message))
        }
    }
}

fn at_least_one<T: PartialEq + From<u8>>(key: &str, value: Option<T>, default: T) -> Result<T, Problem> {
    let value = value.unwrap_or(default);
    match value == T::from(0) {
        true => Err(Problem::at(["limits", key], "0 would refuse every login").hint("write 1 or more")),
        false => Ok(value),
    }
}
