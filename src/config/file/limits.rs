//! The limits, in the written form.

use super::{LimitSettings, LimitsFile, Problem};

/// From accept to a finished login. Old clients give up after 30 to 60 s, Exchange drops silent
/// connections after 60.
const LOGIN_SECONDS: u64 = 60;
/// A shorter time would leave too little for the provider.
const LOGIN_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 5..=3600;
const CONNECTIONS: usize = 10_000;
const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// A person mistypes twice; a program that retries has its answer by then.
const FAILED_LOGINS: u32 = 4;
/// Most messages are sent within this time; then sessions are ended.
const DRAIN_SECONDS: u64 = 25;
/// Most mail programs that always run disconnect at least once a day.
const TAKEOVER_SECONDS: u64 = 24 * 60 * 60;
const DRAIN_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 1..=3600;
/// The limits, each checked against its range.
pub(super) fn limits(file: &LimitsFile) -> Result<LimitSettings, Problem> {
    let login_seconds = file.login_seconds.unwrap_or(LOGIN_SECONDS);
    if !LOGIN_SECONDS_RANGE.contains(&login_seconds) {
        return Err(Problem::at(
            ["limits", "login_seconds"],
            format!("{login_seconds} is not between 5 and 3600"),
        ));
    }
    Ok(LimitSettings {
        login_seconds,
        connections: at_least_one("connections", file.connections, CONNECTIONS)?,
        connections_per_address: at_least_one(
            "connections_per_address",
            file.connections_per_address,
            CONNECTIONS_PER_ADDRESS,
        )?,
        failed_logins: at_least_one("failed_logins", file.failed_logins, FAILED_LOGINS)?,
        drain_seconds: drain_seconds(file.drain_seconds)?,
        takeover_seconds: file.takeover_seconds.unwrap_or(TAKEOVER_SECONDS),
    })
}

fn drain_seconds(written: Option<u64>) -> Result<u64, Problem> {
    let seconds = written.unwrap_or(DRAIN_SECONDS);
    match DRAIN_SECONDS_RANGE.contains(&seconds) {
        true => Ok(seconds),
        false => {
            Err(Problem::at(["limits", "drain_seconds"], format!("{seconds} is not between 1 and 3600"))
                .hint("write a number of seconds; systemd's TimeoutStopSec must be longer by 35"))
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
