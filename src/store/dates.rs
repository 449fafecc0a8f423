//! Dates that are safe for calculation.

use time::OffsetDateTime;
use time::macros::datetime;

/// No grant is older than this.
const EARLIEST: OffsetDateTime = datetime!(2000-01-01 0:00 UTC);
/// No stored date is later than this. So far from the ends of the calendar, days and years can be added without
/// overflow.
const LATEST: OffsetDateTime = datetime!(2200-01-01 0:00 UTC);

/// The nearest safe date: a date from the store or the configuration may be any date.
pub fn sane_date(at: OffsetDateTime) -> OffsetDateTime {
    at.clamp(EARLIEST, LATEST)
}

/// The nearest safe date to a number of seconds since 1970, which may lie outside of the calendar.
pub(super) fn sane_date_of(seconds: i64) -> OffsetDateTime {
    let seconds = seconds.clamp(EARLIEST.unix_timestamp(), LATEST.unix_timestamp());
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(EARLIEST)
}

/// Seconds since 1970 in JSON, read as [`sane_date_of`] does.
pub(super) mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use time::OffsetDateTime;

    pub(in crate::store) fn serialize<S: Serializer>(at: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.unix_timestamp())
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<OffsetDateTime, D::Error> {
        i64::deserialize(from).map(super::sane_date_of)
    }
}

/// Any date of the calendar, the days at its ends as often as all the others.
#[cfg(test)]
pub(crate) fn any_date() -> impl proptest::strategy::Strategy<Value = OffsetDateTime> {
    use proptest::strategy::Strategy as _;
    const FIRST: i64 = -377_705_116_800;
    const LAST: i64 = 253_402_300_799;
    const YEAR: i64 = 366 * 86_400;
    proptest::prop_oneof![FIRST..=LAST, FIRST..=FIRST + YEAR, LAST - YEAR..=LAST]
        .prop_map(|seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap())
}
