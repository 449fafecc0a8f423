//! Times in JSON, and times as a person types them.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};

/// A time that may be missing, as RFC 3339 in UTC.
pub(crate) fn rfc3339(at: Option<OffsetDateTime>) -> Option<String> {
    at.map(crate::text::rfc3339)
}

/// The span of a text such as `14d`, `12h`, `30m`, `90s`; `None` if the text is not one.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // A span of more than a century is a typing error, and dates would overflow.
    let number = i64::from(number.parse::<u32>().ok().filter(|number| *number < 50_000_000)?);
    let span = match unit {
        "d" => number.checked_mul(86_400)?,
        "h" => number.checked_mul(3600)?,
        "m" => number.checked_mul(60)?,
        "s" => number,
        _ => return None,
    };
    Some(Duration::seconds(span)).filter(|span| *span <= Duration::days(36_525))
}

/// A time in the form that a person types.
pub(crate) fn since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(day.with_time(Time::MIDNIGHT).assume_utc());
    }
    span(text)
        .and_then(|span| OffsetDateTime::now_utc().checked_sub(span))
        .ok_or_else(|| "write 2026-02-08T09:30:00Z, 2026-02-08, 7d or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_three_ways() {
        let day = since("2026-02-08").unwrap();
        assert_eq!(day, since("2026-02-08T00:00:00Z").unwrap());
        assert_eq!(since("2026-02-08T02:00:00+02:00").unwrap(), day);
        let week_ago = since("7d").unwrap();
        assert_eq!((OffsetDateTime::now_utc() - week_ago).whole_days(), 7);
        for nonsense in ["", "d", "7", "-1d", "yesterday", "2026-13-01", "99999999999999999999d"] {
            since(nonsense).unwrap_err();
        }
    }
}
